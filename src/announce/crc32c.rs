//! CRC-32C (Castagnoli), as RFC 3720 12.1 has it.

/// Its polynomial, the lowest power first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of octets. A bit at a time: there are at most [`super::MAX_HEADER`] of them, once a connection.
pub(super) fn of<'a>(octets: impl Iterator<Item = &'a u8>) -> u32 {
    !octets.fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sums_are_those_of_the_rfc() {
        // RFC 3720 B.4, and the customary «123456789».
        assert_eq!(super::of([0; 32].iter()), 0x8a91_36aa);
        assert_eq!(super::of([0xff; 32].iter()), 0x62a8_ab43);
        assert_eq!(super::of(b"123456789".iter()), 0xe306_9283);
    }
}
