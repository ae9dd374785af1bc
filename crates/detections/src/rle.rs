//! COCO's run-length encoding of masks, both ways.

use crate::geometry::Size;
use crate::mask::Mask;

/// COCO's run-length encoding of a mask: lengths of runs of off, on, off, … pixels, column by
/// column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    /// The size of the image.
    pub size: Size,
    /// Run lengths, the first of off pixels (it may be 0); they add up to the image's area.
    pub counts: Vec<u32>,
}

/// Why a run-length encoding cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// The text holds a character that no encoding has, or ends within a number.
    #[error("expected characters from `0` to `o` in whole groups, found another or the end")]
    Text,
    /// A run is negative, or longer than 2³² − 1 pixels.
    #[error("a run has a length that no image has")]
    Run,
    /// The runs do not fill the image.
    #[error("the runs cover {found} pixels, expected the {expected} of the image")]
    Area {
        /// Pixels of the image.
        expected: usize,
        /// Pixels that the runs cover.
        found: u64,
    },
}

impl Rle {
    /// The encoding of a mask.
    pub fn of(mask: &Mask) -> Self {
        let (image, left, top) = (mask.image(), mask.left(), mask.top());
        let region = mask.region();
        let (height, mut counts) = (image.height, Vec::new());
        // Runs alternate off, on, off, …, column by column over the whole image, starting with off.
        let (mut value, mut run) = (false, (left * height) as u32);
        let mut push = |bit: bool, length: usize, run: &mut u32| {
            if bit != value && length > 0 {
                counts.push(*run);
                (value, *run) = (bit, 0);
            }
            *run += length as u32;
        };
        for x in 0..region.width {
            push(false, top, &mut run);
            for y in 0..region.height {
                push(mask.contains(left + x, top + y), 1, &mut run);
            }
            push(false, height - top - region.height, &mut run);
        }
        push(
            false,
            (image.width - left - region.width) * height,
            &mut run,
        );
        counts.push(run);
        Self {
            size: image,
            counts,
        }
    }

    /// The encoding that [`compressed`](Self::compressed) wrote for an image of this size.
    ///
    /// pycocotools `common/maskApi.c`, `rleFrString`; unlike there, every character and every run
    /// is checked.
    ///
    /// # Errors
    ///
    /// When the text is no encoding, or is one of an image of another size.
    pub fn from_compressed(size: Size, text: &str) -> Result<Self, RleError> {
        /// Groups of five bits that a run of 33 bits, sign included, needs.
        const MOST_GROUPS: u32 = 7;
        let (mut counts, mut bytes) = (Vec::<u32>::new(), text.bytes());
        while bytes.len() > 0 {
            let (mut value, mut groups) = (0i64, 0);
            loop {
                let byte = bytes.next().ok_or(RleError::Text)?;
                let bits = byte.checked_sub(48).filter(|bits| *bits < 64);
                let bits = bits.ok_or(RleError::Text)?;
                if groups == MOST_GROUPS {
                    return Err(RleError::Run);
                }
                value |= i64::from(bits & 0x1f) << (5 * groups);
                groups += 1;
                if bits & 0x20 == 0 {
                    if bits & 0x10 != 0 {
                        value |= -1 << (5 * groups);
                    }
                    break;
                }
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            counts.push(u32::try_from(value).map_err(|_| RleError::Run)?);
        }
        let found = counts.iter().map(|&count| u64::from(count)).sum();
        if found != size.area() as u64 {
            let expected = size.area();
            return Err(RleError::Area { expected, found });
        }
        Ok(Self { size, counts })
    }

    /// Pixels of the mask.
    pub fn area(&self) -> u64 {
        let on = self.counts.iter().skip(1).step_by(2);
        on.map(|&count| u64::from(count)).sum()
    }

    /// The mask, stored for the smallest rectangle that holds it; empty where no pixel is set, and
    /// where the runs do not fill their image.
    pub fn to_mask(&self) -> Mask {
        let Size { height, .. } = self.size;
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        if total != self.size.area() as u64 {
            return Mask::empty(self.size);
        }
        // Pieces of runs within a column: (column, first row, row behind the last).
        let pieces = || {
            let mut start = 0;
            let runs = self.counts.iter().enumerate().map(move |(place, &count)| {
                let run = (place, start, start + count as usize);
                start = run.2;
                run
            });
            let on = runs.filter(|(place, start, end)| place % 2 == 1 && start < end);
            on.flat_map(move |(_, start, end)| {
                (start / height..=(end - 1) / height).map(move |column| {
                    let top = column * height;
                    let (first, last) = (start.max(top) - top, end.min(top + height) - top);
                    (column, first, last)
                })
            })
        };
        let Some(bounds) = pieces().fold(None, |bounds, (column, first, last)| {
            let (left, right, top, bottom) = bounds.unwrap_or((column, column, first, last));
            Some((
                left.min(column),
                right.max(column),
                top.min(first),
                bottom.max(last),
            ))
        }) else {
            return Mask::empty(self.size);
        };
        let (left, right, top, bottom) = bounds;
        let region = Size::new(bottom - top, right + 1 - left);
        let mut bits = vec![false; region.area()];
        for (column, first, last) in pieces() {
            for row in first - top..last - top {
                bits[row * region.width + column - left] = true;
            }
        }
        Mask::new(self.size, left, top, region, bits)
    }

    /// The counts as pycocotools writes them: from the fourth on as the difference to the count two
    /// before, five bits a character from the lowest up, bit 5 saying that more follow, offset by
    /// 48.
    ///
    /// pycocotools `common/maskApi.c`, `rleToString`.
    pub fn compressed(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            let mut rest = i64::from(count);
            if i > 2 {
                rest -= i64::from(self.counts[i - 2]);
            }
            loop {
                let bits = (rest & 0x1f) as u8;
                rest >>= 5;
                // The sign is bit 4 of the last character, so that bit must agree with what is
                // left.
                let more = if bits & 0x10 != 0 {
                    rest != -1
                } else {
                    rest != 0
                };
                text.push(char::from((bits | u8::from(more) << 5) + 48));
                if !more {
                    break;
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const IMAGE: Size = Size::new(3, 4);

    /// The masks of `tests/reference/make_rle.py`, as (name, mask filling its image, pycocotools'
    /// counts and area).
    fn reference() -> Vec<(String, Mask, String, usize)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/rle.json");
        let cases: Vec<Value> =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let case = |case: &Value| {
            let size = Size::new(number(&case["height"]), number(&case["width"]));
            let runs = case["runs"].as_array().unwrap().iter().enumerate();
            let bits = runs
                .flat_map(|(i, run)| std::iter::repeat_n(i % 2 == 1, number(run)))
                .collect();
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            (
                text("name"),
                Mask::new(size, 0, 0, size, bits),
                text("counts"),
                number(&case["area"]),
            )
        };
        cases.iter().map(case).collect()
    }

    /// The same mask, stored for the smallest rectangle that holds it.
    fn cropped(mask: &Mask) -> Mask {
        let Size { height, width } = mask.image();
        let columns: Vec<_> = (0..width)
            .filter(|&x| (0..height).any(|y| mask.contains(x, y)))
            .collect();
        let rows: Vec<_> = (0..height)
            .filter(|&y| (0..width).any(|x| mask.contains(x, y)))
            .collect();
        let (Some((&left, &right)), Some((&top, &bottom))) = (
            columns.first().zip(columns.last()),
            rows.first().zip(rows.last()),
        ) else {
            return Mask::empty(mask.image());
        };
        let bits = (top..=bottom)
            .flat_map(|y| (left..=right).map(move |x| mask.contains(x, y)))
            .collect();
        Mask::new(
            mask.image(),
            left,
            top,
            Size::new(bottom - top + 1, right - left + 1),
            bits,
        )
    }

    #[test]
    fn compressed_counts_and_areas_are_those_of_pycocotools() {
        let cases = reference();
        assert!(cases.len() >= 60, "{}", cases.len());
        for (name, mask, counts, area) in cases {
            assert_eq!(Rle::of(&mask).compressed(), counts, "{name}");
            assert_eq!(mask.area(), area, "{name}");
        }
    }

    #[test]
    fn the_stored_rectangle_does_not_show_in_the_encoding() {
        for (name, mask, counts, _) in reference() {
            assert_eq!(Rle::of(&cropped(&mask)).compressed(), counts, "{name}");
        }
    }

    /// A mask stored for a rectangle anywhere in its image, by its margins on the four sides.
    fn any_mask() -> impl Strategy<Value = Mask> {
        let margins = (0usize..9, 0usize..9, 0usize..9, 0usize..9);
        (margins, 0usize..30, 0usize..30).prop_flat_map(
            |((left, top, right, bottom), height, width)| {
                let image = Size::new(top + height + bottom, left + width + right);
                let bits = prop::collection::vec(any::<bool>(), height * width);
                bits.prop_map(move |bits| {
                    Mask::new(image, left, top, Size::new(height, width), bits)
                })
            },
        )
    }

    proptest! {
        #[test]
        fn a_mask_comes_back_from_its_runs(mask in crate::mask::tests::any_mask()) {
            let rle = Rle::of(&mask);
            let back = rle.to_mask();
            prop_assert_eq!(rle.area(), mask.area() as u64);
            prop_assert_eq!(back.iou(&mask), 1.0);
            prop_assert_eq!(back.area(), mask.area());
            prop_assert_eq!(Rle::of(&back), rle);
        }

        #[test]
        fn decompressing_gives_the_pixels_back(mask in any_mask()) {
            let read = Rle::from_compressed(mask.image(), &Rle::of(&mask).compressed()).unwrap();
            prop_assert_eq!(&read, &Rle::of(&mask));
            let runs = read.counts.iter().enumerate();
            let bits = runs.flat_map(|(i, &run)| std::iter::repeat_n(i % 2 == 1, run as usize));
            let bits: Vec<bool> = bits.collect();
            prop_assert_eq!(bits.len(), mask.image().area());
            for (i, &bit) in bits.iter().enumerate() {
                let (x, y) = (i / mask.image().height, i % mask.image().height);
                prop_assert_eq!(mask.contains(x, y), bit);
            }
        }
    }

    #[test]
    fn text_that_is_no_encoding_is_refused() {
        let read = |text| Rle::from_compressed(IMAGE, text).map(|rle| rle.counts);
        assert_eq!(read("353L"), Ok(vec![3, 5, 3, 1]));
        for cut in ["\x7f", "é", " ", "/", "P", "35P"] {
            assert_eq!(read(cut), Err(RleError::Text), "{cut}");
        }
        // −1, 2³⁴, and more groups than any number has.
        for run in ["O", "PPPPPPP1", "ooooooooooooooooooo0"] {
            assert_eq!(read(run), Err(RleError::Run), "{run}");
        }
        let area = |found| {
            Err(RleError::Area {
                expected: 12,
                found,
            })
        };
        assert_eq!(
            (read(""), read("3"), read("=")),
            (area(0), area(3), area(13))
        );
    }
}
