//! A thousand clients on one server.

use futures_util::future::join_all;

use crate::stage::{SECOND, Virtual};

in_virtual_time![
    seeds: 2;
    a_thousand_clients_connect_echo_are_cut_and_all_come_back_within_the_spread,
];

const CROWD: usize = 1_000;

async fn a_thousand_clients_connect_echo_are_cut_and_all_come_back_within_the_spread(
    stage: Virtual,
) {
    let server = stage.echo().await;
    let crowd = join_all((0..CROWD).map(|_| stage.client().connect())).await;
    assert_eq!(server.count(), CROWD);
    let one_each = crowd.iter().enumerate().map(async |(n, connection)| {
        connection.send(n.to_string()).await.unwrap();
        assert_eq!(stage.texts(connection, 1).await, [n.to_string()]);
    });
    join_all(one_each).await;

    stage.reset();
    let cut = stage.now();
    let mut last = 0;
    for second in 1..=5 {
        stage.sim.sleep_until(cut + second * SECOND).await;
        let back = server.count();
        assert!(back - last <= 3 * CROWD / 5, "{} came in one second", back - last);
        last = back;
    }
    stage.sleep(SECOND).await;
    assert_eq!(server.count(), CROWD);
    assert!(crowd.iter().all(|connection| connection.is_connected()));
    assert_eq!(stage.links(), CROWD);
}
