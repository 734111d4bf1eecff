//! What a stopped process's memory holds, and putting that back. The kernel marks the pages that were written to since
//! (userfaultfd's asynchronous write protection, Linux 6.7), so that no others are touched.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use libc::{c_ulong, c_void, iovec, pid_t};

/// `linux/userfaultfd.h`.
const UFFD_API: u64 = 0xAA;
const UFFDIO_API: c_ulong = 0xC018_AA3F;
const UFFDIO_REGISTER: c_ulong = 0xC020_AA00;
const FEATURE_WP_ASYNC: u64 = 1 << 15;
const REGISTER_MODE_WP: u64 = 1 << 1;

/// `linux/fs.h`.
const PAGEMAP_SCAN: c_ulong = 0xC060_6610;
const PM_SCAN_WP_MATCHING: u64 = 1;
const PAGE_IS_WPALLOWED: u64 = 1;
const PAGE_IS_WRITTEN: u64 = 2;

/// Where a process's addresses end.
const ADDRESSES_END: u64 = 0x7FFF_FFFF_F000;

/// What one system call takes.
const PIECES_MAX: usize = 1024;

/// Memory of a process, as it was.
pub(super) struct Image {
    pid: pid_t,
    /// While this is open, the kernel tracks.
    _tracker: OwnedFd,
    pagemap: File,
    /// How much address space the process has, and had.
    statm: File,
    n_mapped: Vec<u8>,
    regions: Vec<Region>,
    pages: Vec<u8>,
    /// For each page, in how many of the last probes it was written to; cleared with each round of them.
    heat: Vec<u8>,
    n_put_back: u32,
    written: Vec<Run>,
}

/// A page that is written to is marked by a fault, which costs three times what putting it back does. So pages that
/// were written to after half of a few probes are not protected any more: they count as written, and are put back
/// whether they were or not. From time to time they are probed again.
const N_PROBES: u32 = 4;
const HOT: u8 = 2;
const PROBE_EVERY: u32 = 512;

const PAGE_BYTES: u64 = 4096;

/// Addresses that may be written to, and where their contents lie among the pages.
struct Region {
    start: u64,
    end: u64,
    at: usize,
}

#[repr(C)]
struct ApiRequest {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct RegisterRequest {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct page_region`: addresses of one kind.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Run {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct ScanRequest {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

impl Image {
    /// Of a process that is stopped and gave `tracker`, a userfaultfd of its own.
    ///
    /// # Errors
    /// If the kernel cannot tell which pages were written to, or the process shares memory with another.
    pub(super) fn take(pid: pid_t, tracker: OwnedFd) -> io::Result<Image> {
        let mut api = ApiRequest { api: UFFD_API, features: FEATURE_WP_ASYNC, ioctls: 0 };
        control(&tracker, UFFDIO_API, (&raw mut api).cast())?;
        let (mut regions, mut n_bytes): (Vec<Region>, usize) = (Vec::new(), 0);
        for (start, end) in writable(&fs::read_to_string(format!("/proc/{pid}/maps"))?)? {
            let mut request = RegisterRequest { start, len: end - start, mode: REGISTER_MODE_WP, ioctls: 0 };
            control(&tracker, UFFDIO_REGISTER, (&raw mut request).cast())?;
            // What the kernel reports of neighbours, it reports together.
            match regions.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => regions.push(Region { start, end, at: n_bytes }),
            }
            n_bytes += (end - start) as usize;
        }
        let mut image = Image {
            pid,
            _tracker: tracker,
            pagemap: File::open(format!("/proc/{pid}/pagemap"))?,
            statm: File::open(format!("/proc/{pid}/statm"))?,
            n_mapped: Vec::new(),
            regions,
            pages: vec![0; n_bytes],
            heat: vec![0; n_bytes / PAGE_BYTES as usize],
            n_put_back: 0,
            written: vec![Run::default(); PIECES_MAX],
        };
        let mut pages = std::mem::take(&mut image.pages);
        image.read(&mut pages)?;
        image.pages = pages;
        image.protect(0, ADDRESSES_END)?;
        image.n_mapped = image.mapped()?;
        Ok(image)
    }

    /// Puts back what was written since. `false` if there is memory that the image does not have: a stack grows
    /// without being asked for.
    pub(super) fn put_back(&mut self) -> io::Result<bool> {
        if self.mapped()? != self.n_mapped {
            return Ok(false);
        }
        let probe = self.n_put_back % PROBE_EVERY;
        self.n_put_back += 1;
        let mut from = 0;
        while from < ADDRESSES_END {
            let (n_runs, reached) = self.scan(from)?;
            if !self.write(n_runs)? {
                return Ok(false);
            }
            if probe < N_PROBES {
                self.count(n_runs);
            }
            if N_PROBES <= probe + 1 {
                self.protect_cold(n_runs)?;
            }
            if reached <= from {
                return Err(io::Error::other("the kernel looks at a child's memory without end"));
            }
            from = reached;
        }
        if probe + 1 == PROBE_EVERY {
            self.heat.fill(0);
        }
        if probe + 1 < N_PROBES || probe + 1 == PROBE_EVERY {
            self.protect(0, ADDRESSES_END)?;
        }
        Ok(true)
    }

    /// The size of its address space, in digits.
    fn mapped(&self) -> io::Result<Vec<u8>> {
        let mut text = [0; 32];
        let n_read = self.statm.read_at(&mut text, 0)?;
        Ok(text[..n_read].split(|it| *it == b' ').next().unwrap_or_default().to_vec())
    }

    /// Where the contents of a run lie among the pages.
    fn place(&self, run: Run) -> Option<std::ops::Range<usize>> {
        let region = &self.regions[self.regions.partition_point(|it| it.end <= run.start)..].first()?;
        let at = region.at + run.start.checked_sub(region.start)? as usize;
        (run.end <= region.end).then(|| at..at + (run.end - run.start) as usize)
    }

    fn count(&mut self, n_runs: usize) {
        for at in 0..n_runs {
            let place = self.place(self.written[at]).expect("it was written");
            let pages = place.start / PAGE_BYTES as usize..place.end / PAGE_BYTES as usize;
            self.heat[pages].iter_mut().for_each(|it| *it += 1);
        }
    }

    /// Protects pages of runs that are not hot.
    fn protect_cold(&self, n_runs: usize) -> io::Result<()> {
        for &run in &self.written[..n_runs] {
            let place = self.place(run).expect("it was written");
            let heats = &self.heat[place.start / PAGE_BYTES as usize..place.end / PAGE_BYTES as usize];
            let mut start = run.start;
            for same in heats.chunk_by(|a, b| (*a < HOT) == (*b < HOT)) {
                let end = start + same.len() as u64 * PAGE_BYTES;
                if same[0] < HOT {
                    self.protect(start, end)?;
                }
                start = end;
            }
        }
        Ok(())
    }

    /// Whether all of the memory is as it was, looked at byte by byte.
    pub(super) fn is_whole(&self) -> io::Result<bool> {
        let mut now = vec![0; self.pages.len()];
        self.read(&mut now)?;
        Ok(now == self.pages)
    }

    /// All of the memory, as long as the pages.
    fn read(&self, pages: &mut [u8]) -> io::Result<()> {
        for region in &self.regions {
            let n_bytes = (region.end - region.start) as usize;
            let place = &mut pages[region.at..region.at + n_bytes];
            let here = iovec { iov_base: place.as_mut_ptr().cast(), iov_len: n_bytes };
            let there = iovec { iov_base: region.start as *mut c_void, iov_len: n_bytes };
            // SAFETY: `here` is a slice that outlives the call; `there` is the other process's.
            let n_read = unsafe { libc::process_vm_readv(self.pid, &here, 1, &there, 1, 0) };
            whole(n_read, n_bytes)?;
        }
        Ok(())
    }

    /// The runs of pages that were written to, from an address on, and how far it looked.
    fn scan(&mut self, from: u64) -> io::Result<(usize, u64)> {
        let mut request = ScanRequest {
            vec: self.written.as_mut_ptr() as u64,
            vec_len: self.written.len() as u64,
            return_mask: PAGE_IS_WRITTEN,
            ..ScanRequest::of_written(from)
        };
        let n_runs = control(&self.pagemap, PAGEMAP_SCAN, (&raw mut request).cast())?;
        Ok((n_runs as usize, request.walk_end))
    }

    /// Has the kernel mark what is written from here on, between two addresses.
    fn protect(&self, start: u64, end: u64) -> io::Result<()> {
        let mut request = ScanRequest { flags: PM_SCAN_WP_MATCHING, end, ..ScanRequest::of_written(start) };
        control(&self.pagemap, PAGEMAP_SCAN, (&raw mut request).cast())?;
        Ok(())
    }

    fn write(&self, n_runs: usize) -> io::Result<bool> {
        let (mut here, mut there, mut n_bytes) = (Vec::with_capacity(n_runs), Vec::with_capacity(n_runs), 0);
        for &run in &self.written[..n_runs] {
            let Some(place) = self.place(run) else { return Ok(false) };
            let contents = &self.pages[place];
            here.push(iovec { iov_base: contents.as_ptr().cast_mut().cast(), iov_len: contents.len() });
            there.push(iovec { iov_base: run.start as *mut c_void, iov_len: contents.len() });
            n_bytes += contents.len();
        }
        if n_bytes == 0 {
            return Ok(true);
        }
        let n_runs = n_runs as c_ulong;
        // SAFETY: every piece of `here` is a slice of `pages` and is only read; `there` is the other process's.
        let n_written =
            unsafe { libc::process_vm_writev(self.pid, here.as_ptr(), n_runs, there.as_ptr(), n_runs, 0) };
        whole(n_written, n_bytes)?;
        Ok(true)
    }
}

impl ScanRequest {
    fn of_written(from: u64) -> ScanRequest {
        ScanRequest {
            size: size_of::<ScanRequest>() as u64,
            start: from,
            end: ADDRESSES_END,
            category_mask: PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN,
            ..ScanRequest::default()
        }
    }
}

/// Start and end of what may be written to.
fn writable(maps: &str) -> io::Result<Vec<(u64, u64)>> {
    let unexpected = || io::Error::other("the list of a process's memory reads otherwise than expected");
    let mut found: Vec<(u64, u64)> = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').ok_or_else(unexpected)?;
        match rest.as_bytes() {
            [_, b'w', _, b'p', ..] => {}
            [_, b'w', _, _, ..] => return Err(io::Error::other("a child shares memory")),
            _ => continue,
        }
        let (start, end) = range.split_once('-').ok_or_else(unexpected)?;
        let number = |text| u64::from_str_radix(text, 16).map_err(|_| unexpected());
        found.push((number(start)?, number(end)?));
    }
    Ok(found)
}

fn whole(moved: isize, wanted: usize) -> io::Result<()> {
    match usize::try_from(moved) {
        Ok(moved) if moved == wanted => Ok(()),
        Ok(_) => Err(io::Error::other("a child's memory moved in part")),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

fn control(descriptor: &impl AsRawFd, request: c_ulong, argument: *mut c_void) -> io::Result<i32> {
    // SAFETY: each caller passes the structure that its request reads and fills.
    let returned = unsafe { libc::ioctl(descriptor.as_raw_fd(), request as _, argument) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
