//! The classes of COCO: 80 names with ids from 1 to 90, ten ids being unused.
//! The order and the gaps are those of the data set's `instances_val2017.json`.

use crate::labels::{Label, UNUSED_SLOT};

/// The highest id.
pub(super) const LAST_ID: u32 = 90;

/// Ids and names of the classes, by id.
const CLASSES: [(u32, &str); 80] = [
    (1, "person"),
    (2, "bicycle"),
    (3, "car"),
    (4, "motorcycle"),
    (5, "airplane"),
    (6, "bus"),
    (7, "train"),
    (8, "truck"),
    (9, "boat"),
    (10, "traffic light"),
    (11, "fire hydrant"),
    (13, "stop sign"),
    (14, "parking meter"),
    (15, "bench"),
    (16, "bird"),
    (17, "cat"),
    (18, "dog"),
    (19, "horse"),
    (20, "sheep"),
    (21, "cow"),
    (22, "elephant"),
    (23, "bear"),
    (24, "zebra"),
    (25, "giraffe"),
    (27, "backpack"),
    (28, "umbrella"),
    (31, "handbag"),
    (32, "tie"),
    (33, "suitcase"),
    (34, "frisbee"),
    (35, "skis"),
    (36, "snowboard"),
    (37, "sports ball"),
    (38, "kite"),
    (39, "baseball bat"),
    (40, "baseball glove"),
    (41, "skateboard"),
    (42, "surfboard"),
    (43, "tennis racket"),
    (44, "bottle"),
    (46, "wine glass"),
    (47, "cup"),
    (48, "fork"),
    (49, "knife"),
    (50, "spoon"),
    (51, "bowl"),
    (52, "banana"),
    (53, "apple"),
    (54, "sandwich"),
    (55, "orange"),
    (56, "broccoli"),
    (57, "carrot"),
    (58, "hot dog"),
    (59, "pizza"),
    (60, "donut"),
    (61, "cake"),
    (62, "chair"),
    (63, "couch"),
    (64, "potted plant"),
    (65, "bed"),
    (67, "dining table"),
    (70, "toilet"),
    (72, "tv"),
    (73, "laptop"),
    (74, "mouse"),
    (75, "remote"),
    (76, "keyboard"),
    (77, "cell phone"),
    (78, "microwave"),
    (79, "oven"),
    (80, "toaster"),
    (81, "sink"),
    (82, "refrigerator"),
    (84, "book"),
    (85, "clock"),
    (86, "vase"),
    (87, "scissors"),
    (88, "teddy bear"),
    (89, "hair drier"),
    (90, "toothbrush"),
];

/// The name of an id; unused ids have none.
pub(super) fn name(id: u32) -> Option<&'static str> {
    CLASSES
        .binary_search_by_key(&id, |class| class.0)
        .ok()
        .map(|index| CLASSES[index].1)
}

/// The id of a name.
pub(super) fn id(name: &str) -> Option<u32> {
    CLASSES
        .iter()
        .find(|class| class.1 == name)
        .map(|class| class.0)
}

/// A classifier whose slots are the ids: unused ones keep their slot, as torchvision reports them.
pub(super) fn slots_by_id() -> impl Iterator<Item = Label> {
    (1..=LAST_ID).map(|id| Label {
        category_id: id,
        name: name(id).unwrap_or(UNUSED_SLOT).into(),
    })
}

/// The classes alone, in the order of their ids, as detectron2 numbers them
/// (`data/datasets/builtin_meta.py`).
pub(super) fn contiguous() -> impl Iterator<Item = Label> {
    CLASSES.iter().map(|&(id, name)| Label {
        category_id: id,
        name: name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_eighty_names_and_ten_gaps() {
        assert!(CLASSES.is_sorted_by_key(|class| class.0));
        assert_eq!(
            slots_by_id()
                .filter(|label| &*label.name == UNUSED_SLOT)
                .count(),
            10
        );
        assert_eq!(
            (
                name(12),
                name(18),
                id("dog"),
                id("toothbrush"),
                id("unicorn")
            ),
            (None, Some("dog"), Some(18), Some(90), None)
        );
    }
}
