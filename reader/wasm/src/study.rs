//! What the page learns of a study: index, manifest, and where each image lies, all of them decrypted already.

use crate::headers::Headers;
use crate::question::Refused;
use compressor::bundle::{Manifest, SegmentKind, SegmentSource, Series, UnpackError, read_manifest};
use compressor::dataset::{Geometry, ImageLayout, Table};
use compressor::encapsulated::Codestream;
use compressor::pixels::{frame_bytes, references, whole_frame};
use compressor::{Purpose, Uid};
use seal::index::Index;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::iter;
use std::mem;

/// Frames of a series that are told apart. Of those behind them nothing is told.
const FRAMES_MAX: usize = 32_768;
/// Entries of all look-up tables of a series: sixteen times three of the largest. Of an image with another one it is told that its tables are unknown.
const TABLE_ENTRIES_MAX: usize = 48 << 16;

/// The places of all segments, see [`scanpost_index`](crate::opening::scanpost_index).
pub(crate) fn index(input: &[u8], pieces: usize) -> Result<Vec<u8>, Refused> {
    let split = pieces.checked_mul(4).and_then(|bytes| input.split_at_checked(bytes));
    let (lengths, index) = split.ok_or_else(Refused::question)?;
    let lengths: Vec<u32> = lengths.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let index = Index::parse(index, &lengths)?;
    let mut bytes = Vec::with_capacity(index.segments() as usize * 48);
    for place in (0..index.segments()).filter_map(|number| index.place(number)) {
        for number in [place.piece, place.offset, place.bytes, place.counter as u32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(place.digest.0);
    }
    Ok(bytes)
}

/// JSON of what a viewer needs of a manifest segment.
pub(crate) fn manifest(frame: &[u8]) -> Result<Vec<u8>, Refused> {
    struct Alone<'f>(&'f [u8]);
    impl SegmentSource for Alone<'_> {
        fn segment(&mut self, _: u32) -> io::Result<Vec<u8>> {
            Ok(self.0.to_vec())
        }
    }
    let manifest = read_manifest(&mut Alone(frame)).map_err(|error| match error {
        UnpackError::UnknownFormat { format } => seal::error::Refusal::UnknownFormat(format).into(),
        _ => Refused::damaged("the manifest is not what its format says"),
    })?;
    serde_json::to_vec(&Study::of(&manifest)).map_err(|_| Refused::question())
}

#[derive(Serialize)]
struct Study<'m> {
    note: Option<&'m str>,
    one_patient: bool,
    bounded: bool,
    first_residual: u32,
    all_segments: u32,
    series: Vec<ShownSeries<'m>>,
    segments: Vec<ShownSegment>,
}

#[derive(Serialize)]
struct ShownSeries<'m> {
    modality: &'m str,
    description: &'m str,
    banner: BTreeMap<&'static str, &'m str>,
    mixed_patients: bool,
    transfer_syntax: &'m Uid,
    near: u32,
    max_error: u32,
    rmse: f64,
    ratio: Option<f64>,
    reference_only: bool,
    /// How many of the first instances are key images.
    key_images: u32,
    /// Head and tail bytes of each instance.
    heads: Vec<(u64, u64)>,
    /// SOP Instance UIDs, by which key images are named.
    instances: Vec<Option<&'m Uid>>,
    layout: Vec<Option<ImageLayout>>,
    /// What the frames are coded as that are carried as they came; null where no viewer decodes it.
    codestream: Option<u32>,
    /// What has no pixels, by its place in the list of instances, and its SHA-256: reports and documents are among these.
    whole: Vec<(usize, &'m str)>,
    model: Option<u32>,
    headers: Vec<u32>,
    slabs: Vec<ShownSlab>,
}

#[derive(Serialize)]
struct ShownSlab {
    instance: u32,
    frame: u64,
    row: u64,
    /// None of a frame that is carried as it came.
    coarse: Option<u32>,
    /// One segment, or the chunks of such a frame.
    pixels: Vec<u32>,
    raw_bytes: u64,
    /// Slabs of the series that this one may be predicted from, where the model uses references.
    references: Vec<usize>,
}

/// Kind, series, instance, raw bytes, coded bytes.
#[derive(Serialize)]
struct ShownSegment(SegmentKind, u32, u32, u64, u64);

impl<'m> Study<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let segments = manifest.segments.iter();
        let shown = |s: &compressor::bundle::Segment| {
            ShownSegment(s.kind, s.series, s.instance, s.raw_bytes, s.coded_bytes)
        };
        Self {
            note: manifest.note.as_ref().map(|note| note.expose_for(Purpose::Show)),
            one_patient: manifest.is_of_one_patient(),
            bounded: manifest.is_bounded(),
            first_residual: manifest.first_residual(),
            all_segments: manifest.all_segments(),
            series: (0..).zip(&manifest.series).map(|(number, one)| series(manifest, number, one)).collect(),
            segments: segments.map(shown).collect(),
        }
    }
}

fn series<'m>(manifest: &'m Manifest, number: u32, series: &'m Series) -> ShownSeries<'m> {
    let own = |kind| {
        let numbered = (1_u32..).zip(&manifest.segments);
        numbered.filter(move |(_, s)| s.kind == kind && s.series == number)
    };
    let banner: BTreeMap<_, _> = series.banner.texts_and_contents(Purpose::Show).collect();
    ShownSeries {
        modality: series.modality.as_deref().unwrap_or_default(),
        description: banner.get("series_description").copied().unwrap_or_default(),
        mixed_patients: series.mixed_patients,
        transfer_syntax: &series.transfer_syntax,
        near: series.near,
        max_error: series.max_error,
        rmse: series.rmse,
        ratio: series.ratio,
        reference_only: series.reference_only,
        key_images: series.key_images,
        heads: series.instances.iter().map(|one| (one.head_bytes, one.tail_bytes)).collect(),
        instances: series.instances.iter().map(|one| one.sop_instance.as_ref()).collect(),
        layout: series.instances.iter().map(image).collect(),
        codestream: Codestream::of(&series.transfer_syntax).map(Codestream::number),
        whole: (0..).zip(&series.instances).filter_map(whole).collect(),
        model: own(SegmentKind::Model).map(|(number, _)| number).next(),
        headers: own(SegmentKind::Headers).map(|(number, _)| number).collect(),
        slabs: slabs(series, own(SegmentKind::Coarse), own(SegmentKind::Pixels))
            .into_iter()
            .chain(carried(series, own(SegmentKind::Opaque)))
            .collect(),
        banner,
    }
}

fn whole((at, instance): (usize, &compressor::bundle::Instance)) -> Option<(usize, &str)> {
    let has_none = image(instance).is_none() && instance.compressed.is_none();
    has_none.then_some((at, instance.sha256.as_str()))
}

/// Of the pixels that the page can have.
fn image(instance: &compressor::bundle::Instance) -> Option<ImageLayout> {
    instance.image.or_else(|| instance.carried.as_ref().map(|carried| carried.image))
}

/// Frames that are carried as they came, behind all slabs.
fn carried<'m>(series: &Series, chunks: impl Iterator<Item = Numbered<'m>>) -> Vec<ShownSlab> {
    let mut chunks = chunks.peekable();
    let mut slabs = Vec::new();
    for (instance, one) in (0..).zip(&series.instances) {
        let mut own = iter::from_fn(|| chunks.next_if(|(_, segment)| segment.instance <= instance));
        let raw_bytes = image(one).and_then(|image| frame_bytes(&image)).unwrap_or_default();
        for (frame, count) in (0..).zip(one.carried.iter().flat_map(|carried| &carried.chunks)) {
            let pixels = own.by_ref().take(*count as usize).map(|(number, _)| number).collect();
            slabs.push(ShownSlab {
                instance,
                frame,
                row: 0,
                coarse: None,
                pixels,
                raw_bytes,
                references: Vec::new(),
            });
        }
        own.for_each(drop);
    }
    slabs
}

type Numbered<'m> = (u32, &'m compressor::bundle::Segment);

fn slabs<'m>(
    series: &Series,
    coarse: impl Iterator<Item = Numbered<'m>>,
    pixels: impl Iterator<Item = Numbered<'m>>,
) -> Vec<ShownSlab> {
    let pairs: Vec<_> = coarse.zip(pixels).collect();
    let layout = |instance: u32| series.instances.get(instance as usize)?.image;
    let shape = |number: usize| {
        let (_, (_, segment)) = pairs.get(number)?;
        whole_frame(&layout(segment.instance)?, usize::try_from(segment.raw_bytes).ok()?)
    };
    let (mut instance, mut offset) = (u32::MAX, 0);
    let slab = |(number, ((coarse, _), (pixels, segment))): (usize, &(Numbered<'_>, Numbered<'_>))| {
        if segment.instance != instance {
            (instance, offset) = (segment.instance, 0);
        }
        let (frame, row) = place(layout(instance), offset);
        offset += segment.raw_bytes;
        ShownSlab {
            instance,
            frame,
            row,
            coarse: Some(*coarse),
            pixels: vec![*pixels],
            raw_bytes: segment.raw_bytes,
            references: references(number, shape).into_iter().flatten().collect(),
        }
    };
    pairs.iter().enumerate().map(slab).collect()
}

/// Frame and row that begin at an offset of the pixels. Rows of planes one after the other are counted through (SPEC 3.2).
fn place(layout: Option<ImageLayout>, offset: u64) -> (u64, u64) {
    let place = || {
        let layout = layout?;
        let frame = frame_bytes(&layout)?;
        let samples = if layout.planar { 1 } else { u64::from(layout.samples_per_pixel) };
        let row = u64::from(layout.columns) * samples * u64::from(layout.bits_allocated / 8);
        Some((offset.checked_div(frame)?, (offset.checked_rem(frame)?).checked_div(row)?))
    };
    place().unwrap_or_default()
}

/// What is told of the images of a series, in the order of the instances, and their tables, each once.
#[derive(Default, Serialize)]
struct Shown {
    images: Vec<ShownImage>,
    tables: Vec<Table>,
    #[serde(skip)]
    places: HashMap<Table, usize>,
    #[serde(skip)]
    entries: usize,
}

#[derive(Serialize)]
struct ShownImage {
    #[serde(flatten)]
    geometry: Geometry,
    /// Places in the list of tables.
    modality_table: Option<usize>,
    voi_table: Option<usize>,
    palette: Option<[usize; 3]>,
    tables_unknown: bool,
}

impl Shown {
    fn push(&mut self, mut geometry: Geometry) {
        let lookup = mem::take(&mut geometry.lookup);
        let modality_table = lookup.modality.as_ref().map(|table| self.place(table));
        let voi_table = lookup.voi.as_ref().map(|table| self.place(table));
        let palette = lookup.palette.as_ref().map(|tables| tables.each_ref().map(|table| self.place(table)));
        let is_full = modality_table == Some(None)
            || voi_table == Some(None)
            || palette.is_some_and(|places| places.contains(&None));
        let image = ShownImage {
            modality_table: modality_table.flatten(),
            voi_table: voi_table.flatten(),
            palette: palette.and_then(|[red, green, blue]| Some([red?, green?, blue?])),
            tables_unknown: lookup.is_unknown || is_full,
            geometry,
        };
        self.images.push(image);
    }

    /// Of a table in the list; `None` where there is no room for it.
    fn place(&mut self, table: &Table) -> Option<usize> {
        if let Some(place) = self.places.get(table) {
            return Some(*place);
        }
        let entries = self.entries + table.entries.len();
        if entries > TABLE_ENTRIES_MAX {
            return None;
        }
        self.entries = entries;
        self.places.insert(table.clone(), self.tables.len());
        self.tables.push(table.clone());
        Some(self.tables.len() - 1)
    }
}

/// JSON: a [`Shown`], as far as the parts reach.
pub(crate) fn geometry(input: &[u8], question_bytes: usize) -> Result<Vec<u8>, Refused> {
    let (headers, _) = Headers::of(input, question_bytes, &mut |_, _| None)?;
    let (mut shown, mut frames) = (Shown::default(), 0);
    for (head, _) in headers.instances() {
        let mut one = Geometry::read(head, headers.encoding);
        frames += one.frames.as_ref().map_or(0, Vec::len);
        if frames > FRAMES_MAX && one.frames.is_some() {
            one.frames = Some(Vec::new());
        }
        shown.push(one);
    }
    serde_json::to_vec(&shown).map_err(|_| Refused::question())
}
