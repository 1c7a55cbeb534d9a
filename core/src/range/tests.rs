use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn slices(len: u64, chunk_size: u32, first: u64, count: u64) -> Vec<(u64, u32, u32)> {
    chunks_of_range(len, chunk_size, first, count).map(|slice| (slice.index, slice.start, slice.end)).collect()
}

#[test]
fn ranges_are_cut_at_chunks() {
    assert_eq!(slices(25, 10, 0, 25), [(0, 0, 10), (1, 0, 10), (2, 0, 5)]);
    assert_eq!(slices(25, 10, 9, 2), [(0, 9, 10), (1, 0, 1)]);
    assert_eq!(slices(25, 10, 10, 10), [(1, 0, 10)]);
    assert_eq!(slices(25, 10, 24, 1), [(2, 4, 5)]);
}

#[test]
fn what_lies_beyond_the_end_is_left_out() {
    assert_eq!(slices(25, 10, 24, u64::MAX), [(2, 4, 5)]);
    assert_eq!(slices(25, 10, 25, 1), []);
    assert_eq!(slices(25, 10, u64::MAX, u64::MAX), []);
    assert_eq!(slices(25, 10, 3, 0), []);
    assert_eq!(slices(0, 10, 0, 10), []);
}

#[test]
fn lengths_at_the_edge_of_numbers_do_not_overflow() {
    let last = (u64::MAX - 1) / u64::from(u32::MAX);
    assert_eq!(slices(u64::MAX, u32::MAX, u64::MAX - 1, 9).len(), 1);
    assert_eq!(slices(u64::MAX, u32::MAX, u64::MAX - 1, 9)[0].0, last);
    assert_eq!(slices(u64::MAX, 1, u64::MAX - 1, 9), [(u64::MAX - 1, 0, 1)]);
    assert_eq!(chunk_len(u64::MAX, u32::MAX, u64::MAX), 0);
}

proptest! {
    #[test]
    fn slices_are_exactly_the_range(len in 0..200_u64, chunk_size in 1..20_u32, first in 0..220_u64, count in 0..220_u64) {
        let bytes: Vec<u64> = (0..len).collect();
        let got: Vec<u64> = chunks_of_range(len, chunk_size, first, count)
            .flat_map(|slice| {
                let chunk = bytes.chunks(chunk_size as usize).nth(usize::try_from(slice.index).unwrap()).unwrap();
                assert!(slice.start < slice.end);
                chunk[slice.start as usize..slice.end as usize].to_vec()
            })
            .collect();
        let wanted: Vec<u64> = (first..first.saturating_add(count).min(len)).collect();
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn chunk_lengths_add_up(len in 0..5_000_u64, chunk_size in 1..70_u32) {
        let lens: Vec<u32> = (0..chunk_count(len, chunk_size)).map(|index| chunk_len(len, chunk_size, index)).collect();
        prop_assert_eq!(lens.iter().map(|len| u64::from(*len)).sum::<u64>(), len);
        prop_assert!(lens.iter().all(|len| *len > 0));
        prop_assert_eq!(chunk_len(len, chunk_size, lens.len() as u64), 0);
    }
}
