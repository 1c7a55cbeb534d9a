//! Sizes as people write them.

/// A number of bytes with an optional unit: `B`, `KiB`, `MiB`, `GiB`, `TiB`, or `KB`, `MB`, `GB`, `TB` for powers of ten.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size: write a number and a unit, like 64MiB or 4GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let size = number.checked_mul(factor).ok_or_else(wrong)?;
    if size == 0 {
        return Err("the large file needs at least one byte".to_owned());
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("4GiB"), Ok(4 << 30));
        assert_eq!(parse("256 MiB"), Ok(256 << 20));
        assert_eq!(parse("64m"), Ok(64 << 20));
        assert_eq!(parse("2GB"), Ok(2_000_000_000));
    }

    #[test]
    fn what_is_no_size_is_refused_by_name() {
        for text in ["", "MiB", "-1", "1.5GiB", "3 apples", "99999999TiB"] {
            assert!(parse(text).is_err_and(|error| error.contains(text)), "{text}");
        }
        assert!(parse("0MiB").is_err());
    }
}
