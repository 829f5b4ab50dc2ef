#![no_main]

use std::cell::RefCell;

use equipoise_fuzz::house::House;

thread_local! {
    static HOUSE: RefCell<House> = RefCell::new(House::new());
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| HOUSE.with(|house| house.borrow_mut().run(data)));
