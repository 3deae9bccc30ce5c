//! The pages of a column, checked before their values are decoded: a page that claims a billion
//! values would get the memory for them.

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

/// Lets through what the writer writes.
pub(super) struct Checked {
    pages: Box<dyn PageReader>,
    is_text: bool,
    rows: usize,
    left: usize,
    has_dictionary: bool,
}

impl Checked {
    /// The pages of a column of so many rows.
    pub(super) fn new(pages: Box<dyn PageReader>, is_text: bool, rows: usize) -> Self {
        Self { pages, is_text, rows, left: rows, has_dictionary: false }
    }

    fn check(&mut self, page: &Page) -> std::result::Result<(), &'static str> {
        match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                let is_first = !self.has_dictionary && self.left == self.rows;
                let values = *num_values as usize;
                if !is_first || values > self.rows || !self.holds(buf, values) {
                    return Err("a dictionary that is not one");
                }
                self.has_dictionary = true;
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                let values = self.left.checked_sub(*num_values as usize);
                self.left = values.ok_or("more values than rows")?;
                let is_known = match encoding {
                    Encoding::PLAIN => self.holds(buf, *num_values as usize),
                    Encoding::DELTA_BINARY_PACKED => true,
                    Encoding::RLE_DICTIONARY => self.has_dictionary,
                    _ => false,
                };
                if !is_known || *def_level_encoding != Encoding::RLE {
                    return Err("values in a form that is not used here");
                }
            }
            Page::DataPageV2 { .. } => return Err("a page in a form that is not used here"),
        }
        Ok(())
    }

    /// Whether there are so many texts, each after its length. The library asserts it of a length
    /// that is cut off. No text is null, so there is nothing before them.
    fn holds(&self, mut bytes: &[u8], values: usize) -> bool {
        let mut next = || {
            let (length, rest) = bytes.split_first_chunk()?;
            bytes = rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
            Some(())
        };
        !self.is_text || (0..values).all(|_| next().is_some())
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(page) = self.pages.get_next_page()? else { return Ok(None) };
        match self.check(&page) {
            Ok(()) => Ok(Some(page)),
            Err(problem) => Err(ParquetError::General(problem.to_owned())),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
