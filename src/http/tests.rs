//! Laws and cases of the codec.
