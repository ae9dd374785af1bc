//! How much libtorch keeps between images.

/// Environment variables under which memory levels off over images of ever new sizes.
///
/// libtorch reads them when it first computes, so they must be set before that, which is left to
/// the program. oneDNN keeps the last 1024 kernels that it made (its documentation, "Primitive
/// Cache"), and every size of image needs new ones: over 1,000 photos of 1,000 sizes the program
/// grows to 700 MB and on, with 128 it stays at 410 MB from the 450th on. An image needs some
/// hundred, so that images of one size find all of theirs again.
pub const BOUNDED_ENVIRONMENT: [(&str, &str); 1] = [("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")];
