#![no_main]

use equipoise_fuzz::{heads, seeds};

libfuzzer_sys::fuzz_target!(init: seeds::write_if_asked(), |data: &[u8]| heads::request(data));
