//! Setters of settings, named after the fields. They are needed because a `non_exhaustive` struct cannot be
//! written as a literal in another crate.

/// Chainable methods for `impl` blocks that set one field each.
macro_rules! setters {
    ($($name:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )*};
}

pub(crate) use setters;
