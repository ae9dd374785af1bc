//! Captions: what they say, how large they are, and where they go.

use image::RgbImage;

use super::canvas::{PixelRect, fill, frame};
use super::text::Typeface;
use super::weights::LineWeights;
use crate::detection::Detection;
use crate::geometry::Size;
use crate::palette;

/// Type is not made smaller than this height of a line, in pixels. Empirical: the smallest at which
/// digits are told apart.
const SMALLEST_TYPE: f32 = 10.0;

/// Type shrinks to this part of its size at most, when there are many captions. Empirical.
const MOST_SHRINKAGE: f32 = 0.6;

/// Part of the image beyond which captions shrink. Empirical.
const COMFORTABLE_COVER: f32 = 0.12;

/// Part of the image that captions may cover; what does not fit is left out. Empirical: one short
/// caption at 64×64.
const MOST_COVER: f32 = 0.25;

/// Letters after which a label is cut, however wide the image.
const LONGEST_LABEL: usize = 60;

/// Letters that a label keeps at least when it is cut, or its class could not be told. Empirical.
const SHORTEST_LABEL: usize = 3;

/// Width in line heights up to which a caption may take the whole width of a small image; beyond,
/// its label ends at half the image, or at the end of a box that is wider. Empirical: `traffic
/// light 0.98` fits.
const LINE_LENGTH: f32 = 8.0;

/// Steps in which a plate is moved along an edge of its box. Empirical.
const STOPS: i64 = 6;

/// What a place costs for every better one in the list, in objects hidden. Empirical: a plate
/// leaves the usual place to uncover about a tenth of an object.
const RANK_COST: f32 = 0.01;

/// Draws the captions of the detections that have a box, over everything.
///
/// `boxes`: what is visible of each detection's box.
pub(super) fn draw(
    canvas: &mut RgbImage,
    detections: &[Detection],
    boxes: &[Option<PixelRect>],
    weights: LineWeights,
) {
    let typeface = Typeface::new();
    let image = Size::new(canvas.height() as usize, canvas.width() as usize);
    let captions = lay_out(&typeface, detections, boxes, image, weights.type_size);
    for (caption, plate) in arrange(captions, boxes, image, weights.casing) {
        let color = palette::color(caption.index);
        frame(
            canvas,
            plate.grow(weights.casing),
            weights.casing,
            LineWeights::CASING,
            LineWeights::CASING_ALPHA,
        );
        fill(canvas, plate, color, u8::MAX);
        // Centred by the height of the digits: a line's full height has more room above them than
        // below.
        let cap_height = typeface.cap_height(caption.type_size);
        let baseline = plate.top + ((plate.height() as f32 + cap_height) / 2.0).round() as i64;
        let line = typeface.set(&caption.text, caption.type_size);
        line.draw(
            canvas,
            plate.left + caption.padding,
            baseline,
            palette::ink(color),
        );
    }
}

/// A caption that is not placed yet.
struct Caption {
    /// The detection's index.
    index: usize,
    /// What is visible of the detection's box.
    anchor: PixelRect,
    text: String,
    type_size: f32,
    /// Space left and right of the text.
    padding: i64,
    /// Size of the plate.
    width: i64,
    height: i64,
}

impl Caption {
    fn area(&self) -> i64 {
        self.width * self.height
    }
}

/// The captions that find room, in their order, each with the place of its plate.
///
/// `gap`: pixels that stay free between two plates.
fn arrange(
    captions: Vec<Caption>,
    boxes: &[Option<PixelRect>],
    image: Size,
    gap: i64,
) -> Vec<(Caption, PixelRect)> {
    let mut arranged: Vec<(Caption, PixelRect)> = Vec::new();
    let mut room = (MOST_COVER * image.area() as f32) as i64;
    for caption in captions {
        if caption.area() > room {
            continue;
        }
        let free = |plate: PixelRect| {
            arranged
                .iter()
                .all(|(_, other)| plate.grow(gap).intersect(*other).area() == 0)
        };
        if let Some(plate) = place(&caption, boxes, free, image) {
            room -= plate.area();
            arranged.push((caption, plate));
        }
    }
    arranged
}

/// Sets every caption in type of one size: `type_size`, or smaller where all of them would cover
/// too much.
fn lay_out(
    typeface: &Typeface,
    detections: &[Detection],
    boxes: &[Option<PixelRect>],
    image: Size,
    type_size: f32,
) -> Vec<Caption> {
    let set_all = |type_size: f32| -> Vec<Caption> {
        let anchored = boxes
            .iter()
            .enumerate()
            .filter_map(|(index, anchor)| Some((index, (*anchor)?)));
        anchored
            .filter_map(|(index, anchor)| {
                set(
                    typeface,
                    &detections[index],
                    index,
                    anchor,
                    image,
                    type_size,
                )
            })
            .collect()
    };
    let captions = set_all(type_size);
    let cover = captions.iter().map(Caption::area).sum::<i64>() as f32;
    let comfortable = COMFORTABLE_COVER * image.area() as f32;
    if cover <= comfortable {
        return captions;
    }
    let shrinkage = (comfortable / cover).sqrt().max(MOST_SHRINKAGE);
    set_all((type_size * shrinkage).round().max(SMALLEST_TYPE))
}

/// Sets one caption; `None` when not even its shortest form fits into the image.
fn set(
    typeface: &Typeface,
    detection: &Detection,
    index: usize,
    anchor: PixelRect,
    image: Size,
    type_size: f32,
) -> Option<Caption> {
    let padding = (type_size / 5.0).round() as i64;
    let widest = anchor
        .width()
        .max(image.width as i64 / 2)
        .max((LINE_LENGTH * type_size) as i64)
        .min(image.width as i64);
    let width = |text: &str| typeface.set(text, type_size).width();
    let text = words(typeface, detection, |text| {
        width(text) + 2 * padding <= widest
    });
    let (width, height) = (
        width(&text) + 2 * padding,
        (type_size * 1.05).round() as i64,
    );
    let fits = width <= image.width as i64 && height <= image.height as i64;
    fits.then_some(Caption {
        index,
        anchor,
        text,
        type_size,
        padding,
        width,
        height,
    })
}

/// What the caption of `detection` says within what fits: its label and its score.
///
/// A label with a letter that cannot be drawn falls back to the class's number: a caption of boxes,
/// or of letters in the wrong order, would say nothing.
fn words(typeface: &Typeface, detection: &Detection, fits: impl Fn(&str) -> bool) -> String {
    let Detection {
        category_id, score, ..
    } = *detection;
    let numbered = format!("class {category_id}");
    match typeface.spell(&detection.label) {
        // A class without a name is labelled so, too.
        Some(label) if label != numbered => fit(&label, score, fits),
        _ => fit_number(category_id, score, fits),
    }
}

/// `class N` and the score to two decimals. What does not fit goes as a whole, first the score and
/// then the word: cut as a label is, it would lose the number, and `cla…` tells no class.
fn fit_number(number: u32, score: f32, fits: impl Fn(&str) -> bool) -> String {
    let choices = [
        format!("class {number} {score:.2}"),
        format!("class {number}"),
    ];
    let fitting = choices.into_iter().find(|text| fits(text));
    fitting.unwrap_or_else(|| number.to_string())
}

/// `label` and the score to two decimals. What does not fit is shortened: first the label, to an
/// ellipsis after at least [`SHORTEST_LABEL`] letters; then the score goes, and where not even the
/// label fits the score stands alone.
fn fit(label: &str, score: f32, fits: impl Fn(&str) -> bool) -> String {
    let letters: Vec<char> = label.chars().collect();
    let score = format!("{score:.2}");
    if letters.is_empty() {
        return score;
    }
    let short = letters.len() <= LONGEST_LABEL;
    let whole = format!("{label} {score}");
    if short && fits(&whole) {
        return whole;
    }
    let cut = |kept: usize| {
        format!(
            "{}… {score}",
            letters[..kept].iter().collect::<String>().trim_end()
        )
    };
    let lengths: Vec<usize> = (SHORTEST_LABEL..letters.len().min(LONGEST_LABEL)).collect();
    match lengths.partition_point(|&kept| fits(&cut(kept))) {
        0 if short && fits(label) => label.to_owned(),
        0 => score,
        fitting => cut(lengths[fitting - 1]),
    }
}

/// The free place near the caption's box that hides least; `None` when no place is free.
fn place(
    caption: &Caption,
    boxes: &[Option<PixelRect>],
    free: impl Fn(PixelRect) -> bool,
    image: Size,
) -> Option<PixelRect> {
    // How much of the objects the plate hides, small ones counting as much as large ones.
    let hidden = |plate: PixelRect| -> f32 {
        boxes
            .iter()
            .flatten()
            .map(|rect| plate.intersect(*rect).area() as f32 / rect.area() as f32)
            .sum()
    };
    let ranked = candidates(caption, image)
        .into_iter()
        .enumerate()
        .filter(|&(_, plate)| free(plate));
    let costs = ranked.map(|(rank, plate)| (hidden(plate) + RANK_COST * rank as f32, plate));
    // The first of equal ones.
    costs
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, plate)| plate)
}

/// Places for a caption's plate inside the image, the preferred ones first: above the box, inside
/// at its top, below, inside at its bottom, each from left to right, then beside the box from top
/// to bottom.
fn candidates(caption: &Caption, image: Size) -> Vec<PixelRect> {
    let Caption {
        anchor,
        width,
        height,
        ..
    } = *caption;
    let last = Size::new(image.height - height as usize, image.width - width as usize);
    let inside = |left: i64, top: i64| {
        PixelRect::at(
            left.clamp(0, last.width as i64),
            top.clamp(0, last.height as i64),
            width,
            height,
        )
    };
    let along =
        |first: i64, last: i64| (0..=STOPS).map(move |stop| first + (last - first) * stop / STOPS);
    let rows = [
        anchor.top - height,
        anchor.top,
        anchor.bottom,
        anchor.bottom - height,
    ];
    let beside = [anchor.right, anchor.left - width];
    let rows = rows
        .into_iter()
        .flat_map(|top| along(anchor.left, anchor.right - width).map(move |left| (left, top)));
    let columns = beside
        .into_iter()
        .flat_map(|left| along(anchor.top, anchor.bottom - height).map(move |top| (left, top)));
    rows.chain(columns)
        .map(|(left, top)| inside(left, top))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;
    use crate::mask::Mask;
    use proptest::prelude::*;

    const IMAGE: Size = Size::new(100, 160);

    /// A caption of 50×12 pixels for this box.
    fn caption(index: usize, anchor: PixelRect) -> Caption {
        Caption {
            index,
            anchor,
            text: String::new(),
            type_size: 11.0,
            padding: 2,
            width: 50,
            height: 12,
        }
    }

    /// The plates of boxes on [`IMAGE`], with a gap of one pixel.
    fn plates(boxes: &[PixelRect]) -> Vec<PixelRect> {
        let captions = boxes
            .iter()
            .enumerate()
            .map(|(index, &rect)| caption(index, rect))
            .collect();
        let boxes: Vec<_> = boxes.iter().copied().map(Some).collect();
        arrange(captions, &boxes, IMAGE, 1)
            .into_iter()
            .map(|(_, plate)| plate)
            .collect()
    }

    #[test]
    fn a_plate_sits_on_its_box_flush_left() {
        assert_eq!(
            plates(&[PixelRect::at(30, 40, 80, 50)]),
            [PixelRect::at(30, 28, 50, 12)]
        );
    }

    #[test]
    fn a_plate_without_room_above_goes_inside_a_tall_box() {
        assert_eq!(
            plates(&[PixelRect::at(30, 5, 80, 95)]),
            [PixelRect::at(30, 0, 50, 12)]
        );
    }

    #[test]
    fn a_plate_without_room_above_goes_below_a_small_box() {
        assert_eq!(
            plates(&[PixelRect::at(30, 2, 60, 14)]),
            [PixelRect::at(30, 16, 50, 12)]
        );
    }

    #[test]
    fn a_plate_at_the_right_border_ends_at_the_border() {
        assert_eq!(
            plates(&[PixelRect::at(140, 40, 20, 50)]),
            [PixelRect::at(110, 28, 50, 12)]
        );
    }

    #[test]
    fn a_plate_moves_off_a_neighbouring_small_object() {
        // The second box lies where the first one's plate would be.
        let neighbour = PixelRect::at(32, 25, 15, 12);
        let plate = plates(&[PixelRect::at(30, 40, 80, 50), neighbour])[0];
        assert_eq!(plate.intersect(neighbour).area(), 0, "{plate:?}");
        assert_eq!(plate.bottom, 40, "still on its box");
    }

    #[test]
    fn equal_boxes_have_plates_apart() {
        let rect = PixelRect::at(30, 40, 80, 40);
        let plates = plates(&[rect, rect, rect]);
        assert_eq!(plates.len(), 3);
        assert_eq!(plates[0], PixelRect::at(30, 28, 50, 12));
    }

    #[test]
    fn captions_stop_where_they_would_cover_a_quarter_of_the_image() {
        // 16,000 / 4 / 600 = 6.67
        let boxes: Vec<_> = (0..20)
            .map(|i| PixelRect::at(8 * i, 5 * i, 12, 5))
            .collect();
        assert_eq!(plates(&boxes).len(), 6);
    }

    /// What the caption of an object of class 12 with this label says in so many letters.
    fn words_within(label: &str, most: usize) -> String {
        let detection = Detection {
            category_id: 12,
            label: label.into(),
            score: 0.984,
            bbox: BBox::new(1.0, 2.0, 30.0, 40.0),
            mask: Mask::new(IMAGE, 0, 0, Size::new(0, 0), Vec::new()),
        };
        words(&Typeface::new(), &detection, |text| {
            text.chars().count() <= most
        })
    }

    /// The same where there is room.
    fn words_of(label: &str) -> String {
        words_within(label, usize::MAX)
    }

    #[test]
    fn a_label_in_letters_that_can_be_drawn_is_drawn() {
        assert_eq!(words_of("traffic  light\n"), "traffic light 0.98");
        for label in ["σκύλος", "собака", "犬", "狗", "개", "con chó"] {
            assert_eq!(words_of(label), format!("{label} 0.98"));
        }
        assert_eq!(words_of("cafe\u{301}"), words_of("café"));
    }

    #[test]
    fn a_label_that_cannot_be_drawn_is_the_number_of_its_class() {
        for label in [
            "كلب",
            "כלב",
            "कुत्ता",
            "หมา",
            "🐕",
            "狗 كلب",
            "dog\u{0}",
            "\u{10FFFF}",
        ] {
            assert_eq!(words_of(label), "class 12 0.98", "{label}");
        }
    }

    #[test]
    fn the_number_of_a_class_is_never_cut() {
        for label in ["كلب", "class 12"] {
            let within = |most| words_within(label, most);
            assert_eq!(within(13), "class 12 0.98", "{label}");
            assert_eq!(within(12), "class 12", "{label}");
            assert_eq!(within(8), "class 12", "{label}");
            assert_eq!(within(7), "12", "{label}");
            assert_eq!(within(0), "12", "{label}");
        }
    }

    #[test]
    fn a_label_of_wide_letters_is_cut_to_the_same_width() {
        let typeface = Typeface::new();
        for label in [
            "自動販賣機".repeat(4),
            "soda machine ".repeat(4),
            "狗dog개".repeat(6),
        ] {
            let text = fit(&label, 0.5, |text| typeface.set(text, 17.0).width() <= 200);
            assert!(text.ends_with("… 0.50"), "{text}");
            let width = typeface.set(&text, 17.0).width();
            assert!(
                (175..=200).contains(&width),
                "{text} is {width} pixels wide"
            );
        }
    }

    #[test]
    fn a_label_is_cut_to_fit_and_the_score_stays() {
        let fit_to = |most: usize| fit("traffic light", 0.984, |text| text.chars().count() <= most);
        assert_eq!(fit_to(18), "traffic light 0.98");
        assert_eq!(fit_to(17), "traffic lig… 0.98");
        assert_eq!(fit_to(14), "traffic… 0.98");
        assert_eq!(fit_to(9), "tra… 0.98");
        assert_eq!(fit_to(8), "0.98");
        assert_eq!(fit_to(0), "0.98");
    }

    #[test]
    fn a_label_that_would_be_a_stump_stands_without_the_score() {
        assert_eq!(
            fit("sheep", 0.984, |text| text.chars().count() <= 8),
            "sheep"
        );
    }

    #[test]
    fn a_label_longer_than_any_is_cut_however_much_fits() {
        let text = fit(&"é".repeat(100_000), 1.0, |_| true);
        assert_eq!(
            text.chars().count(),
            LONGEST_LABEL - 1 + "… 1.00".chars().count()
        );
    }

    #[test]
    fn an_empty_label_leaves_the_score() {
        assert_eq!(fit("", 0.0, |_| true), "0.00");
        assert_eq!(words_of(" \t"), "0.98");
    }

    proptest! {
        #[test]
        fn plates_lie_inside_the_image_and_clear_of_each_other(
            boxes in prop::collection::vec((0i64..150, 0i64..90, 1i64..100, 1i64..60), 0..30),
        ) {
            let boxes = boxes.into_iter().map(|(x, y, w, h)| PixelRect::at(x, y, w, h));
            let boxes: Vec<_> = boxes.collect();
            let plates = plates(&boxes);
            for (i, plate) in plates.iter().enumerate() {
                prop_assert_eq!(plate.intersect(PixelRect::at(0, 0, 160, 100)), *plate);
                let apart = |other: &PixelRect| plate.grow(1).intersect(*other).area() == 0;
                prop_assert!(plates[..i].iter().all(apart));
            }
            prop_assert!(boxes.is_empty() || !plates.is_empty());
        }
    }
}
