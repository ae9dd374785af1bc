//! Who is told how far a transfer is. Nothing here draws it.

/// Watches transfers.
pub trait Observer: Send + Sync {
    /// A transfer of something called `name` begins. What is returned is told how far it is, and
    /// dropped when it ends, also by an error. The name may hold any characters.
    fn transfer(&self, name: &str) -> Box<dyn Transfer>;
}

/// Watches one transfer.
pub trait Transfer {
    /// It starts over from nothing; `length` bytes will come, if that is known.
    fn restart(&self, length: Option<u64>);
    /// So many more bytes have come.
    fn advance(&self, bytes: u64);
}

/// Takes no notice.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn transfer(&self, _: &str) -> Box<dyn Transfer> {
        Box::new(Self)
    }
}

impl Transfer for Silent {
    fn restart(&self, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}
