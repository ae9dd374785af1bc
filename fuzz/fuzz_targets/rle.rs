//! Any mask: its run-length encoding covers the image, and decoding what is written gives the
//! pixels back.

#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use maskrcnn::{Mask, Size};

/// A mask stored for a rectangle anywhere in its image.
#[derive(Debug)]
struct AnyMask(Mask);

impl<'a> Arbitrary<'a> for AnyMask {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        // Margins may be large, since nothing is stored for them; the largest image that is read
        // has 10⁸ pixels.
        let mut margin = || input.int_in_range(0..=2000);
        let (left, top, right, bottom) = (margin()?, margin()?, margin()?, margin()?);
        let region = Size::new(input.int_in_range(0..=64)?, input.int_in_range(0..=64)?);
        let image = Size::new(top + region.height + bottom, left + region.width + right);
        let bits = (0..region.area())
            .map(|_| input.arbitrary())
            .collect::<Result<_>>()?;
        Ok(Self(Mask::new(image, left, top, region, bits)))
    }
}

/// pycocotools `common/maskApi.c`, `rleFrString`.
fn decompress(text: &str) -> Vec<u32> {
    let mut counts = Vec::<i64>::new();
    let mut bytes = text.bytes();
    while bytes.len() > 0 {
        let (mut value, mut shift) = (0i64, 0);
        loop {
            let bits = i64::from(bytes.next().expect("a number ends") - 48);
            value |= (bits & 0x1f) << shift;
            shift += 5;
            if bits & 0x20 == 0 {
                if bits & 0x10 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
        }
        if counts.len() > 2 {
            value += counts[counts.len() - 2];
        }
        counts.push(value);
    }
    counts
        .into_iter()
        .map(|count| u32::try_from(count).expect("no run is negative"))
        .collect()
}

fuzz_target!(|mask: AnyMask| {
    let AnyMask(mask) = mask;
    let rle = mask.rle();
    assert_eq!(
        rle.counts
            .iter()
            .map(|&count| count as usize)
            .sum::<usize>(),
        mask.image().area()
    );
    assert!(
        rle.counts.iter().skip(1).all(|&count| count > 0),
        "{:?}",
        rle.counts
    );
    assert_eq!(decompress(&rle.compressed()), rle.counts);
    let set: usize = rle
        .counts
        .iter()
        .skip(1)
        .step_by(2)
        .map(|&count| count as usize)
        .sum();
    assert_eq!(set, mask.area());
    let height = mask.image().height;
    let mut at = 0;
    for (i, &count) in rle.counts.iter().enumerate() {
        let count = count as usize;
        if i % 2 == 1 {
            assert!((at..at + count).all(|pixel| mask.contains(pixel / height, pixel % height)));
        }
        at += count;
    }
    assert_eq!(mask.iou(&mask), 1.0);
});
