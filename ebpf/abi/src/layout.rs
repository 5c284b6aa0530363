//! Compile-time proof that a type has the size it is documented to have.

/// Asserts the size of each type, and makes it readable by aya where the `user` feature is on.
macro_rules! layout {
    ($($type:ty => $size:literal),+ $(,)?) => {
        $(
            const _: () = assert!(core::mem::size_of::<$type>() == $size);
            const _: () = assert!(core::mem::align_of::<$type>() <= 8);
            #[cfg(feature = "user")]
            #[expect(unsafe_code, reason = "aya's marker for plain data is an unsafe trait")]
            // SAFETY: repr(C) or repr(transparent) over integers, no padding (the size is asserted to be
            // the sum of the fields), any bit pattern is a value.
            unsafe impl aya::Pod for $type {}
        )+
    };
}
pub(crate) use layout;
