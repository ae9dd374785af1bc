//! The number by which COCO's tools join results to images.
//!
//! COCO names its photos by their numbers, and those are kept. Any other image gets the number that
//! its name hashes to: the same in every run, whatever else is in it, so that reports of several
//! runs can be joined. Never its place in a run, which another image has in the next one.

use sha2::{Digest, Sha256};

/// The largest number that every reader of JSON keeps: 2⁵³ − 1 (RFC 8259, section 6).
const LARGEST: u64 = (1 << 53) - 1;

/// How COCO named its photos before 2017: `COCO_val2014_000000000139.jpg`.
const PARTS: [&str; 5] = [
    "COCO_train2014_",
    "COCO_val2014_",
    "COCO_test2014_",
    "COCO_test2015_",
    "COCO_unlabeled2017_",
];

/// The number of the image in a file of this name, without folders.
///
/// COCO's own where the name without its extension is a number (`000000000139.jpg`, as of 2017) or
/// one behind the part of the data set; else what the name hashes to. None for an empty name.
pub fn of_name(name: &str) -> Option<u64> {
    if name.is_empty() {
        return None;
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    Some(number(stem).unwrap_or_else(|| hash(name)))
}

/// The number of an image whose name is not its own in a run: of its whole path or address.
pub fn of_path(path: &str) -> u64 {
    hash(path)
}

/// The number of an image that has no name: of the SHA-256 of its bytes, in hex.
pub fn of_content(sha256: &str) -> u64 {
    hash(sha256)
}

/// The numbers of images by (name without folders, whole path or address), in order; none for those
/// that have no name. Where two different images would have one number, both have that of their
/// path; the same image named twice has one.
pub fn of_images<'a>(images: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Option<u64>> {
    let images: Vec<_> = images.into_iter().collect();
    let by_name: Vec<_> = images.iter().map(|(name, _)| of_name(name)).collect();
    let mut paths = std::collections::HashMap::<u64, Vec<&str>>::new();
    for (id, (_, path)) in by_name.iter().zip(&images) {
        if let Some(id) = id {
            paths.entry(*id).or_default().push(path);
        }
    }
    let is_shared = |id: u64| paths[&id].iter().any(|path| *path != paths[&id][0]);
    by_name
        .iter()
        .zip(&images)
        .map(|(id, (_, path))| id.map(|id| if is_shared(id) { of_path(path) } else { id }))
        .collect()
}

/// The number that COCO would name a photo of this stem by.
fn number(stem: &str) -> Option<u64> {
    let part = PARTS.iter().find_map(|part| stem.strip_prefix(part));
    let digits = part.unwrap_or(stem);
    // `parse` alone would accept a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|id| is_number && *id <= LARGEST)
}

/// The first 53 bits of the SHA-256 of a text.
fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    u64::from_be_bytes(*first) >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_coco_are_numbers_in_every_year() {
        for name in [
            "000000000139.jpg",
            "139.png",
            "139",
            "COCO_val2014_000000000139.jpg",
            "COCO_train2014_000000000139.jpg",
            "COCO_test2015_000000000139.jpg",
        ] {
            assert_eq!(of_name(name), Some(139), "{name}");
        }
    }

    #[test]
    fn other_names_hash_to_numbers_that_json_keeps() {
        // `printf IMG_0001.jpg | sha256sum`, the first 53 bits.
        assert_eq!(of_name("IMG_0001.jpg"), Some(746579425878945));
        assert_eq!(of_name(""), None);
        let others = [
            "IMG_0002.jpg",
            "+5.jpg",
            "-5.jpg",
            "1.5.jpg",
            "99999999999999999999999.png",
            "9007199254740992.jpg",
            "COCO_val2014_.jpg",
            "COCO_val2014_+1.jpg",
            "写真.webp",
        ];
        let ids: std::collections::BTreeSet<_> = others.map(of_name).into();
        assert_eq!(ids.len(), others.len());
        assert!(
            ids.iter()
                .flatten()
                .all(|id| (1 << 40..=LARGEST).contains(id))
        );
        assert_eq!(of_name("9007199254740991.jpg"), Some(LARGEST));
    }

    #[test]
    fn images_that_would_meet_have_the_numbers_of_their_paths() {
        let images = [
            ("IMG_1.jpg", "a/IMG_1.jpg"),
            ("IMG_1.jpg", "b/IMG_1.jpg"),
            ("IMG_2.jpg", "a/IMG_2.jpg"),
            ("7.jpg", "a/7.jpg"),
            ("007.png", "007.png"),
            ("", "-"),
            ("IMG_2.jpg", "a/IMG_2.jpg"),
        ];
        let expected = [
            Some(of_path("a/IMG_1.jpg")),
            Some(of_path("b/IMG_1.jpg")),
            of_name("IMG_2.jpg"),
            Some(of_path("a/7.jpg")),
            Some(of_path("007.png")),
            None,
            of_name("IMG_2.jpg"),
        ];
        assert_eq!(of_images(images), expected);
        // Whatever their order.
        let mut turned: Vec<_> = images.to_vec();
        turned.reverse();
        let mut found = of_images(turned);
        found.reverse();
        assert_eq!(found, expected);
    }
}
