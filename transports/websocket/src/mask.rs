//! Masking (RFC 6455, section 5.3).

use std::cell::RefCell;

/// How many random bytes are asked of the system at once: one call serves 128 frames.
const POOL: usize = 512;

struct Pool {
    bytes: [u8; POOL],
    used: usize,
}

/// A new key. Unpredictable, as the section wants it: it comes from the operating system.
///
/// # Panics
///
/// When the operating system has no randomness.
pub(crate) fn new_key() -> [u8; 4] {
    thread_local! {
        static RANDOM: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], used: POOL }) };
    }
    RANDOM.with_borrow_mut(|pool| {
        if pool.used == POOL {
            getrandom::fill(&mut pool.bytes).expect("the operating system gives random bytes");
            pool.used = 0;
        }
        let mut key = [0; 4];
        key.copy_from_slice(&pool.bytes[pool.used..pool.used + 4]);
        pool.used += 4;
        key
    })
}

/// Masks or unmasks `bytes`, which lie `offset` bytes behind their frame's payload's start.
pub(crate) fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    // The width of a vector register or two, so that the compiler makes use of them.
    const WIDE: usize = 32;
    let wide: [u8; WIDE] = std::array::from_fn(|at| key[(offset + at) % 4]);
    let mut chunks = bytes.chunks_exact_mut(WIDE);
    for chunk in &mut chunks {
        chunk.iter_mut().zip(&wide).for_each(|(byte, mask)| *byte ^= mask);
    }
    chunks.into_remainder().iter_mut().zip(&wide).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_goes_on_across_pieces() {
        let plain: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let key = [1, 20, 130, 255];
        for cut in [0, 1, 2, 3, 31, 32, 33, 500, 999, 1000] {
            let mut bytes = plain.clone();
            let (head, tail) = bytes.split_at_mut(cut);
            apply(head, key, 0);
            apply(tail, key, cut);
            let wrong =
                bytes.iter().enumerate().find(|&(at, byte)| *byte != plain[at] ^ key[at % 4]);
            assert_eq!(wrong, None, "cut at {cut}");
        }
    }

    #[test]
    fn keys_differ() {
        let keys: std::collections::BTreeSet<_> = (0..1000).map(|_| new_key()).collect();
        assert!(keys.len() > 990);
    }
}
