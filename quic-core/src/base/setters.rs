//! Setters of settings, with the names of the fields: settings that may get more fields cannot be written as a literal elsewhere.

/// Methods that set a field each and can be chained, for `impl` blocks.
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
