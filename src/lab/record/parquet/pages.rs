//! Checks a column's pages before their values are decoded: a page that claims a billion values
//! would otherwise get the memory for them.

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

/// Passes on only pages of the kind that the writer produces.
pub(super) struct CheckedPages {
    pages: Box<dyn PageReader>,
    is_text: bool,
    rows: usize,
    left: usize,
    has_dictionary: bool,
}

impl CheckedPages {
    /// The pages of a column with `rows` rows.
    pub(super) fn new(pages: Box<dyn PageReader>, is_text: bool, rows: usize) -> Self {
        Self { pages, is_text, rows, left: rows, has_dictionary: false }
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                let is_first = !self.has_dictionary && self.left == self.rows;
                let values = *num_values as usize;
                if !is_first || values > self.rows || !self.holds_strings(buf, values) {
                    return malformed("a malformed dictionary");
                }
                self.has_dictionary = true;
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                let values = self.left.checked_sub(*num_values as usize);
                let Some(left) = values else { return malformed("more values than rows") };
                self.left = left;
                let is_known = match encoding {
                    Encoding::PLAIN => self.holds_strings(buf, *num_values as usize),
                    Encoding::DELTA_BINARY_PACKED => true,
                    Encoding::RLE_DICTIONARY => self.has_dictionary,
                    _ => false,
                };
                if !is_known || *def_level_encoding != Encoding::RLE {
                    return malformed("an unexpected encoding of values");
                }
            }
            Page::DataPageV2 { .. } => return malformed("an unexpected kind of page"),
        }
        Ok(())
    }

    /// Checks that `values` length-prefixed strings fit into `bytes`. The library asserts this and
    /// would panic. No string is null, so no definition levels precede them.
    fn holds_strings(&self, mut bytes: &[u8], values: usize) -> bool {
        let mut next = || {
            let (length, rest) = bytes.split_first_chunk()?;
            bytes = rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
            Some(())
        };
        !self.is_text || (0..values).all(|_| next().is_some())
    }
}

fn malformed(problem: &str) -> Result<()> {
    Err(ParquetError::General(problem.to_owned()))
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(page) = self.pages.get_next_page()? else { return Ok(None) };
        self.check(&page)?;
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
