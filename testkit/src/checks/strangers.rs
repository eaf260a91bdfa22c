//! Peers that do not speak the transport's language.

use std::io;

use futures_util::future::join;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use moorline_core::{Acceptor, BoxFuture, Frame, Transport};

use crate::failure::{Failure, Verdict, ensure};
use crate::site::{RawStream, Site, shake_hands};

/// How many strangers come, each with a noise of its own.
const STRANGERS: u64 = 16;

/// Opens a stream to it.
fn opening<A: Acceptor, T: Transport>(
    site: &Site<A, T>,
) -> Result<BoxFuture<'static, io::Result<Box<dyn RawStream>>>, Failure> {
    let open = site.raw.as_ref().ok_or_else(|| Failure::new("no raw stream is declared"))?;
    Ok(open(&site.acceptor))
}

/// Bytes without sense, repeatable.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(crate) async fn noise_harms_nobody<A: Acceptor, T: Transport>(mut site: Site<A, T>) -> Verdict {
    let play = site.play.clone();
    for seed in 0..STRANGERS {
        let opening = opening(&site)?;
        let client = async {
            let Ok(mut stream) = opening.await else { return };
            // Little noise and much, with the end right behind it. The server may hang up meanwhile.
            let _ = stream.write_all(&noise(seed, 1 << seed)).await;
            let _ = stream.flush().await;
            drop(stream);
        };
        let server = async {
            let pending = site.pending().await?;
            // It refuses it, or the noise was a greeting by chance and the link ends.
            if let Ok(mut end) = shake_hands(pending).await {
                end.rest(&play).await?;
            }
            Ok(())
        };
        play.within("noise is done with", join(client, server)).await?.1?;
    }
    let mut link = site.link().await?;
    link.client.send(&play, Frame::text("after the noise")).await?;
    link.server.frame(&play).await?;
    Ok(())
}

pub(crate) async fn a_handshake_reads_a_bounded_amount<A: Acceptor, T: Transport>(
    mut site: Site<A, T>,
) -> Verdict {
    let play = site.play.clone();
    let opening = opening(&site)?;
    // Letters, as a header that has no end: what is no greeting at all is refused at its first byte.
    let chunk = [b'a'; 16 * 1024];
    let client = async {
        let Ok(mut stream) = opening.await else { return 0 };
        let mut written = 0;
        let begin = stream.write_all(b"GET / HTTP/1.1\r\nX: ").await;
        while begin.is_ok() && written <= play.bound {
            // Refused, or not read any more: both bound it.
            match play.quietly(stream.write_all(&chunk)).await {
                Some(Ok(())) => written += chunk.len(),
                Some(Err(_)) | None => break,
            }
        }
        let _ = play.quietly(stream.read(&mut [0])).await;
        written
    };
    let server = async {
        let pending = site.pending().await?;
        let mut handshake = Box::pin(shake_hands(pending));
        drop(play.quietly(&mut handshake).await);
        Ok::<_, Failure>(handshake)
    };
    let (written, server) =
        play.within("the handshake is over, or waits", join(client, server)).await?;
    drop(server?);
    ensure!(written <= play.bound, "it has read {written} bytes, and shakes hands yet");
    Ok(())
}
