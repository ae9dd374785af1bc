//! How much libtorch keeps between images.

/// Environment variables under which memory levels off over images of ever new sizes.
///
/// libtorch reads them when it first computes, so they must be set before that, which is left to
/// the program. oneDNN keeps the last 1024 kernels that it made, and every size of image needs new
/// ones.
pub const BOUNDED_ENVIRONMENT: [(&str, &str); 1] = [("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")];
