//! What stands in a group, in each of the three ways in which HDF5 stores that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use hdf5_reader::btree_v1;
use hdf5_reader::error::{Error as Failure, Result as Outcome};
use hdf5_reader::io::Cursor;
use hdf5_reader::local_heap::LocalHeap;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::link::{self, LinkMessage, LinkTarget};
use hdf5_reader::messages::symbol_table_msg::SymbolTableMessage;
use hdf5_reader::symbol_table::SymbolTableNode;

use super::file::File;
use super::link::Link;

/// The longest name that is read. Real ones stay below 200 bytes.
const LONGEST_NAME: usize = 1024;

impl File {
    /// The links of the group at an address, by name.
    pub(super) fn links(&self, group: u64) -> Outcome<Rc<BTreeMap<String, Link>>> {
        if let Some(links) = self.groups.borrow().get(&group) {
            return Ok(Rc::clone(links));
        }
        let links = Rc::new(of(self, group)?);
        self.groups.borrow_mut().insert(group, Rc::clone(&links));
        Ok(links)
    }
}

/// The links of the group whose header is at `group`.
fn of(file: &File, group: u64) -> Outcome<BTreeMap<String, Link>> {
    let header = file.header(group)?;
    let mut links = BTreeMap::new();
    for message in &header.messages {
        match message {
            HdfMessage::SymbolTable(table) => symbol_table(file, table, &mut links)?,
            HdfMessage::Link(link) => add_message(link, &mut links)?,
            HdfMessage::LinkInfo(info) => {
                let (heap, index) = (info.fractal_heap_address, info.btree_name_index_address);
                file.in_heap(heap, index, |bytes| {
                    let (offset, length) = (file.offset_size(), file.length_size());
                    let cursor = &mut Cursor::new(bytes);
                    let link = link::parse(cursor, offset, length, bytes.len())?;
                    add_message(&link, &mut links)
                })?;
            }
            _ => {}
        }
    }
    Ok(links)
}

fn add_message(link: &LinkMessage, links: &mut BTreeMap<String, Link>) -> Outcome<()> {
    let target = match link.target {
        LinkTarget::Hard { address } => Link::Hard(address),
        LinkTarget::Soft { .. } => Link::Soft,
        LinkTarget::External { .. } => Link::External,
    };
    add(link.name.clone(), target, links)
}

fn add(name: String, link: Link, links: &mut BTreeMap<String, Link>) -> Outcome<()> {
    if name.len() > LONGEST_NAME {
        return Err(Failure::InvalidData("a name is too long".to_owned()));
    }
    match links.entry(name) {
        Entry::Vacant(place) => {
            place.insert(link);
            Ok(())
        }
        Entry::Occupied(place) => {
            let name = place.key();
            Err(Failure::InvalidData(format!(
                "the name {name} stands twice"
            )))
        }
    }
}

/// The links of a group as HDF5 stored them before 1.8, and still does by default: names in a heap,
/// a B-tree of nodes of entries (specification, III.A.1, III.B, III.C).
fn symbol_table(
    file: &File,
    table: &SymbolTableMessage,
    links: &mut BTreeMap<String, Link>,
) -> Outcome<()> {
    /// Signature, version, a reserved byte, and the number of entries.
    const NODE_PREFIX: usize = 8;
    /// The kind of a symbolic link (specification, III.C "Cache Type").
    const SYMBOLIC: u32 = 2;
    let (storage, offset, length) = (file.storage(), file.offset_size(), file.length_size());
    let heap = LocalHeap::parse_at_storage(storage, table.heap_address, offset, length)?;
    let size = usize::try_from(heap.data_segment_size)
        .map_err(|_| Failure::OffsetOutOfBounds(heap.data_segment_size))?;
    let names = storage.read_range(heap.data_segment_address, size)?;
    let nodes = btree_v1::collect_btree_v1_leaves_storage(
        storage,
        table.btree_address,
        offset,
        length,
        None,
        &[],
        None,
    )?;
    // The entry's name and header, its kind, and 16 bytes that depend on it.
    let entry_len = 2 * usize::from(offset) + 4 + 4 + 16;
    for (_, address) in nodes {
        let prefix = storage.read_range(address, NODE_PREFIX)?;
        let count = usize::from(u16::from_le_bytes([prefix[6], prefix[7]]));
        let bytes = storage.read_range(address, NODE_PREFIX + count * entry_len)?;
        let node = SymbolTableNode::parse(&mut Cursor::new(&bytes), offset, length)?;
        for entry in node.entries {
            let name = name_at(&names, entry.link_name_offset)?;
            file.charge(name.len())?; // many may share one in the heap
            let link = match entry.cache_type {
                SYMBOLIC => Link::Soft,
                _ => Link::Hard(entry.object_header_address),
            };
            add(name, link, links)?;
        }
    }
    Ok(())
}

/// The name that begins at an offset of a heap's data and ends with a zero.
fn name_at(names: &[u8], offset: u64) -> Outcome<String> {
    let wrong = || Failure::InvalidData("a name leaves its heap or is too long".to_owned());
    let start = usize::try_from(offset).map_err(|_| wrong())?;
    let rest = names.get(start..).ok_or_else(wrong)?;
    let mut within = rest.iter().take(LONGEST_NAME + 1);
    let len = within.position(|&byte| byte == 0).ok_or_else(wrong)?;
    let name = std::str::from_utf8(&rest[..len]).map_err(|_| wrong())?;
    Ok(name.to_owned())
}
