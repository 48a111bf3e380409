//! The rows that a pixel in work sees: its own and two above (codec SPEC 12.1).

use super::colours::COMPONENTS_MAX;

/// Places left of the first column.
const LEFT: usize = 3;
/// Places right of the last.
const RIGHT: usize = 2;
/// Guesses that are weighed against each other (SPEC 12.4).
pub(super) const GUESSES: usize = 8;

/// What is kept of a sample.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell {
    pub(super) sample: u16,
    /// Sample − prediction, from −32,767 to 32,767.
    pub(super) residual: i16,
    /// Errors of its guesses,
    pub(super) errors: [u16; GUESSES],
    /// of all of them together, and of the one by the first component.
    pub(super) ways: [u16; 2],
}

/// A row with its margins.
#[derive(Clone, Default)]
struct Row {
    pixels: Vec<u64>,
    cells: Vec<[Cell; COMPONENTS_MAX]>,
}

/// Three rows, the one in work first.
pub(super) struct Rows([Row; 3]);

/// Neighbours of a pixel, nearest first: W N NW NE WW NN NEE NWW NNW NNE WWW NNEE.
pub(super) const NEIGHBOURS: usize = 12;
/// Those whose samples are looked at as well: W N NW NE WW NN.
pub(super) const CELLS: usize = 6;
const PLACES: [(usize, isize); NEIGHBOURS] =
    [(0, -1), (1, 0), (1, -1), (1, 1), (0, -2), (2, 0), (1, 2), (1, -2), (2, -1), (2, 1), (0, -3), (2, 2)];

impl Rows {
    pub(super) fn new(columns: usize) -> Self {
        let row = Row {
            pixels: vec![0; LEFT + columns + RIGHT],
            cells: vec![[Cell::default(); COMPONENTS_MAX]; LEFT + columns + RIGHT],
        };
        Self([row.clone(), row.clone(), row])
    }

    /// Begins a row: places left of it are as the first one of the row above.
    pub(super) fn begin(&mut self) {
        let [own, above, second] = &mut self.0;
        std::mem::swap(above, second);
        std::mem::swap(own, above);
        let (pixel, cell) = (above.pixels.get(LEFT).copied(), above.cells.get(LEFT).copied());
        own.pixels.iter_mut().take(LEFT).for_each(|place| *place = pixel.unwrap_or_default());
        own.cells.iter_mut().take(LEFT).for_each(|place| *place = cell.unwrap_or_default());
    }

    /// Enters a pixel. Places right of the row are as its last one.
    pub(super) fn enter(&mut self, column: usize, pixel: u64, cell: [Cell; COMPONENTS_MAX]) {
        let [own, ..] = &mut self.0;
        let columns = own.pixels.len() - LEFT - RIGHT;
        let places = if column + 1 == columns { 1 + RIGHT } else { 1 };
        own.pixels.iter_mut().skip(LEFT + column).take(places).for_each(|place| *place = pixel);
        own.cells.iter_mut().skip(LEFT + column).take(places).for_each(|place| *place = cell);
    }

    pub(super) fn pixels(&self, column: usize) -> [u64; NEIGHBOURS] {
        let own = self.slices(column);
        PLACES.map(|(row, offset)| {
            let row = own.get(row).and_then(|(pixels, _)| pixels.get((LEFT as isize + offset) as usize));
            row.copied().unwrap_or_default()
        })
    }

    /// The cells of one component around.
    pub(super) fn cells(&self, column: usize, component: usize) -> [Cell; CELLS] {
        let own = self.slices(column);
        std::array::from_fn(|number| {
            let cell = PLACES.get(number).and_then(|(row, offset)| {
                own.get(*row)?.1.get((LEFT as isize + offset) as usize)?.get(component)
            });
            cell.copied().unwrap_or_default()
        })
    }

    /// The cells left of a place.
    pub(super) fn left(&self, column: usize) -> [Cell; COMPONENTS_MAX] {
        let [own, ..] = &self.0;
        own.cells.get(LEFT + column - 1).copied().unwrap_or_default()
    }

    fn slices(&self, column: usize) -> [(&[u64], &[[Cell; COMPONENTS_MAX]]); 3] {
        let [own, above, second] = &self.0;
        [own, above, second].map(|row| {
            let (pixels, cells) = (row.pixels.get(column..), row.cells.get(column..));
            (pixels.unwrap_or_default(), cells.unwrap_or_default())
        })
    }
}
