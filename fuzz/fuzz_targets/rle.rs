//! Any mask: its run-length encoding covers the image, and decoding what is written gives the
//! pixels back.

#![no_main]

use detections::{Mask, Rle, Size};
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

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

fuzz_target!(|mask: AnyMask| {
    let AnyMask(mask) = mask;
    let rle = Rle::of(&mask);
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
    let read = Rle::from_compressed(mask.image(), &rle.compressed());
    assert_eq!(read.as_ref(), Ok(&rle));
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
