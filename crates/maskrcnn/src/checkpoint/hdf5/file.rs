//! An open file: object headers, links and attributes by address.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use hdf5_reader::btree_v2::{self, BTreeV2Header, BTreeV2Record};
use hdf5_reader::error::{Error as Failure, Result as Outcome};
use hdf5_reader::fractal_heap::{FractalHeap, FractalHeapDirectBlockCache};
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::{self, AttributeMessage};
use hdf5_reader::object_header::ObjectHeader;
use hdf5_reader::{Dataset, FilterRegistry, Hdf5File, OpenOptions, Storage};

use super::super::bytes::Bytes;
use super::super::format::Format;
use super::failure;
use super::link::Link;
use super::meter::Meter;
use crate::error::Result;

/// The largest object header. Keras cuts attributes to 64 KB each, and has a few in one group.
const LARGEST_HEADER: usize = 1 << 20;

/// A chunk beyond this is not decoded. HDF5's own default for its cache is 1 MiB.
const LARGEST_CHUNK: usize = 256 << 20;

/// Filters that the crate knows and no Keras file has (specification, IV.A.2.l "Filter Pipeline").
const UNWANTED_FILTERS: [u16; 4] = [4, 5, 6, 32004];

/// The crate's filters without those.
fn filters() -> FilterRegistry {
    let mut filters = FilterRegistry::new();
    for filter in UNWANTED_FILTERS {
        let refuse =
            move |_: &_, _: &[u8], _| Err(Failure::UnsupportedFilter(format!("number {filter}")));
        filters.register(filter, Box::new(refuse));
    }
    filters
}

/// An HDF5 file.
pub(super) struct File {
    hdf5: Hdf5File,
    meter: Arc<Meter>,
    filters: FilterRegistry,
    /// The links of the groups that were looked at, by address.
    pub(super) groups: RefCell<HashMap<u64, Rc<BTreeMap<String, Link>>>>,
}

impl File {
    /// # Errors
    ///
    /// [`Malformed`](crate::Error::Malformed) when the superblock is damaged or the file is shorter
    /// than that says.
    pub(super) fn open(bytes: &Arc<Bytes>) -> Result<Self> {
        let meter = Arc::new(Meter::new(bytes));
        let options = OpenOptions {
            chunk_cache_bytes: 0,
            chunk_cache_slots: 0,
            filter_registry: Some(filters()),
            external_file_resolver: None,
            external_link_resolver: None,
            max_chunk_bytes: LARGEST_CHUNK,
            max_read_bytes: LARGEST_CHUNK,
            max_object_header_bytes: LARGEST_HEADER,
        };
        let storage: Arc<dyn Storage> = meter.clone();
        let hdf5 = Hdf5File::from_storage_with_options(storage, options)
            .map_err(|error| failure::error("its superblock", &error))?;
        let (end, len) = (hdf5.superblock().eof_address, bytes.len());
        if end > len as u64 {
            return Err(Format::Hdf5.cut_short(format!("it has {len} bytes of {end}")));
        }
        Ok(Self {
            hdf5,
            meter,
            filters: filters(),
            groups: RefCell::default(),
        })
    }

    /// The address of the root group.
    pub(super) fn root(&self) -> Result<u64> {
        let address = self.hdf5.superblock().root_object_header_address();
        address.map_err(|error| failure::error("its superblock", &error))
    }

    /// Where addresses count from: the length of the user block.
    pub(super) fn base(&self) -> u64 {
        self.hdf5.superblock().base_address
    }

    /// Whether an address says that there is nothing.
    pub(super) fn is_undefined(&self, address: u64) -> bool {
        Cursor::is_undefined_offset(address, self.offset_size())
    }

    /// Counts work on `bytes` bytes.
    pub(super) fn charge(&self, bytes: usize) -> Outcome<()> {
        self.meter.charge(bytes)
    }

    /// The object header at an address.
    pub(super) fn header(&self, address: u64) -> Outcome<Arc<ObjectHeader>> {
        self.hdf5.get_or_parse_header(address)
    }

    /// The attributes of the object at an address, those in its header and those in a heap.
    pub(super) fn attributes(&self, object: u64) -> Outcome<Vec<AttributeMessage>> {
        let header = self.header(object)?;
        let mut attributes = Vec::new();
        for message in &header.messages {
            match message {
                HdfMessage::Attribute(attribute) => attributes.push(attribute.clone()),
                HdfMessage::AttributeInfo(info) => {
                    let (heap, index) = (info.fractal_heap_address, info.btree_name_index_address);
                    self.in_heap(heap, index, |bytes| {
                        let (offset, length) = (self.offset_size(), self.length_size());
                        let cursor = &mut Cursor::new(bytes);
                        attributes.push(attribute::parse(cursor, offset, length, bytes.len())?);
                        Ok(())
                    })?;
                }
                _ => {}
            }
        }
        Ok(attributes)
    }

    /// Shows `look` every link or attribute in a heap, by the index of their names. An undefined
    /// address has none.
    pub(super) fn in_heap(
        &self,
        heap: u64,
        index: u64,
        mut look: impl FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        if self.is_undefined(heap) || self.is_undefined(index) {
            return Ok(());
        }
        let (storage, offset, length) = (self.storage(), self.offset_size(), self.length_size());
        let heap = FractalHeap::parse_at_storage(storage, heap, offset, length)?;
        let index = BTreeV2Header::parse_at_storage(storage, index, offset, length)?;
        let records = btree_v2::collect_btree_v2_records_storage(
            storage,
            &index,
            offset,
            length,
            None,
            &[],
            None,
        )?;
        let mut blocks = FractalHeapDirectBlockCache::default();
        for record in &records {
            let id = match record {
                BTreeV2Record::LinkNameHash { heap_id, .. } => &heap_id[..],
                BTreeV2Record::AttributeNameHash { heap_id, .. } => &heap_id[..],
                _ => {
                    return Err(Failure::InvalidData(
                        "an index of something else".to_owned(),
                    ));
                }
            };
            let (blocks, filters) = (&mut blocks, Some(&self.filters));
            let bytes = heap.get_object_storage_cached_with_registry(
                id, storage, offset, length, blocks, filters,
            )?;
            self.charge(bytes.len())?;
            look(&bytes)?;
        }
        Ok(())
    }

    /// The bytes that a reference to variable-length data leads to.
    pub(super) fn variable(&self, reference: &[u8]) -> Outcome<Vec<u8>> {
        let root = self.hdf5.root_group()?;
        root.resolve_vlen_reference_bytes(reference, 1)
    }

    /// The dataset at a path from the root, which is known to lead over hard links only to the object
    /// with that header.
    pub(super) fn dataset(&self, path: &str, header: &ObjectHeader) -> Outcome<Dataset> {
        // The crate keeps a copy of the attributes for each path, and there may be many to one
        // header.
        for message in &header.messages {
            if let HdfMessage::Attribute(attribute) = message {
                self.charge(attribute.name.len() + attribute.raw_data.len())?;
            }
        }
        self.hdf5.dataset(path)
    }

    /// Counts what `read` reads as elements of tensors.
    pub(super) fn data<T>(&self, read: impl FnOnce() -> T) -> T {
        self.meter.data(read)
    }

    /// The file's bytes, counted.
    pub(super) fn storage(&self) -> &dyn Storage {
        self.hdf5.storage()
    }

    /// Bytes of an address.
    pub(super) fn offset_size(&self) -> u8 {
        self.hdf5.superblock().offset_size
    }

    /// Bytes of a length.
    pub(super) fn length_size(&self) -> u8 {
        self.hdf5.superblock().length_size
    }
}
