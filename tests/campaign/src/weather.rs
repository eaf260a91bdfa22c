//! The faults, one after another.

use std::time::Duration;

use fastrand::Rng;
use moorline::{Direction, Network, Sim, Time};
use moorline_core::TransportErrorKind;

use crate::log::{Entry, Log};
use crate::server::Running;
use crate::world::{PLACE, SECOND};

/// Faults until that time; then the network is whole.
pub(crate) async fn blow(
    sim: Sim,
    network: Network,
    mut running: Running,
    log: Log,
    mut rng: Rng,
    until: Time,
) -> Running {
    while sim.now() < until {
        sim.sleep(Duration::from_millis(rng.u64(1_000..26_000))).await;
        let direction = if rng.bool() { Direction::ToServer } else { Direction::ToClient };
        let kind = rng.u32(..100);
        let name = match kind {
            0..12 => "cut",
            12..30 => "reset",
            30..45 => "cut after a frame",
            45..60 => "cut before a frame",
            60..68 => "partition",
            68..76 => "half-open",
            76..80 => "refuse",
            80..84 => "slow",
            84..87 => "hung handshakes",
            87..91 => "duplicated connects",
            91..94 => "restart",
            94..96 => "abrupt restart",
            96..98 => "outage over the retention",
            _ => "outage over the age",
        };
        log.write(Entry::Fault(name));
        let mut lasts = Duration::from_millis(rng.u64(..20_000));
        match name {
            "cut" => network.cut(PLACE),
            "reset" => network.reset(PLACE),
            "cut after a frame" => network.cut_after(PLACE, direction, rng.u64(..40)),
            "cut before a frame" => network.cut_before(PLACE, direction, rng.u64(..40)),
            "partition" => {
                network.partition(PLACE);
                lasts *= 4;
            }
            "half-open" => network.half_open(PLACE, direction),
            "refuse" => {
                network.refuse(PLACE, TransportErrorKind::Unreachable);
                network.reset(PLACE);
            }
            "slow" => network.slow(PLACE, rng.u64(500..20_000)),
            "hung handshakes" => {
                network.hang_handshakes(PLACE);
                network.reset(PLACE);
            }
            "duplicated connects" => {
                network.duplicate_connects(PLACE);
                network.reset(PLACE);
            }
            "restart" | "abrupt restart" => {
                running.restart(name == "abrupt restart", lasts / 4).await;
                continue;
            }
            "outage over the retention" => {
                network.cut(PLACE);
                lasts = 200 * SECOND;
            }
            _ => {
                network.cut(PLACE);
                lasts = 80 * SECOND;
            }
        }
        // Two faults at once, now and then.
        if rng.u32(..8) == 0 {
            network.reset(PLACE);
        }
        sim.sleep(lasts).await;
        network.heal(PLACE);
    }
    network.heal(PLACE);
    running
}
