//! Delta debugging of a list.

/// The shortest list it finds of which `fails` still says yes, by leaving out ever smaller parts. In the end no single entry
/// can be left out.
pub(crate) fn minimise<T: Clone>(mut items: Vec<T>, fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    if items.is_empty() || fails(&[]) {
        return Vec::new();
    }
    let mut parts = 2;
    while items.len() > 1 {
        let len = items.len().div_ceil(parts);
        let shorter = (0..items.len()).step_by(len).find_map(|from| {
            let until = (from + len).min(items.len());
            let rest: Vec<T> = items[..from].iter().chain(&items[until..]).cloned().collect();
            (!rest.is_empty() && fails(&rest)).then_some(rest)
        });
        match shorter {
            Some(rest) => {
                items = rest;
                parts = (parts - 1).max(2);
            }
            None if len == 1 => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of the numbers to 100, and after how many tries.
    fn check(fails: impl Fn(&[u32]) -> bool) -> (Vec<u32>, u32) {
        let mut tries = 0;
        let left = minimise((0..100).collect(), &mut |items| {
            tries += 1;
            fails(items)
        });
        (left, tries)
    }

    #[test]
    fn what_a_failure_needs_is_left_and_nothing_else() {
        let (left, tries) = check(|items| [3, 50, 51, 99].iter().all(|needed| items.contains(needed)));
        assert_eq!(left, [3, 50, 51, 99]);
        assert!(tries < 120, "{tries} tries");
        assert_eq!(check(|items| items.contains(&42)).0, [42]);
        assert_eq!(check(|_| true), (Vec::new(), 1));
    }

    #[test]
    fn a_failure_that_needs_all_keeps_all() {
        assert_eq!(check(|items| items.len() == 100).0.len(), 100);
    }

    #[test]
    fn no_single_entry_can_be_left_out_of_the_rest() {
        let fails = |items: &[u32]| items.iter().sum::<u32>() >= 500;
        let (left, _) = check(fails);
        for index in 0..left.len() {
            let mut fewer = left.clone();
            fewer.remove(index);
            assert!(!fails(&fewer), "{left:?} without its entry {index}");
        }
    }
}
