//! A body that is a zip archive (APPNOTE 6.3.10), whose members are bodies of one format.
//!
//! In: the archive as a file, because its directory stands at its end, and the shape of the page.
//! Out: the records of all members that the definition names, in the directory's order, each member
//! read by itself to its end. Nothing is written anywhere, and a member's name is never a path.
//!
//! What never happens here: a member taken that is encrypted, shares bytes with another, or has a
//! name that leads out of the archive; one whose size or check sum is not what the directory says;
//! an archive without members taken for an empty page; more unpacked than the bounds allow.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use rawzip::{
    CompressionMethod, Error, ErrorKind, FileReader, ReaderAt, ZipArchive,
    ZipArchiveEntryWayfinder, ZipFileHeaderRecord,
};
use restway_model::Records;

use super::body::{BodyReader, BodyShape};
use super::envelope::PageEnd;
use super::glob::matches;
use super::gunzip::check;
use crate::error::Failure;

/// Members of one archive, folders included.
const MEMBERS_MAX: u64 = 10_000;
/// Room for what the directory says of one member: three fields of 64 KiB, and its head.
const DIRECTORY_BYTES: usize = 256 << 10;
/// Bytes that are unpacked at once.
const PIECE_BYTES: usize = 64 << 10;
/// Names that an error shows.
const NAMES_SHOWN_MAX: usize = 5;
/// Where the flags stand in a member's head in the directory (4.3.12), and what says that it is
/// encrypted (4.4.4): by itself, or with its head.
const FLAGS_AT: u64 = 8;
const ENCRYPTED: u16 = 1 | 1 << 13;

type Archive = ZipArchive<FileReader>;

/// A member that is to be read.
struct Member {
    name: String,
    at: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

/// Reads the members that `wanted` names (all, without it), and hands over their records.
pub(crate) fn unzip(
    file: File,
    shape: &BodyShape,
    wanted: Option<&str>,
    take: &mut dyn FnMut(Records) -> Result<(), Failure>,
) -> Result<PageEnd, Failure> {
    let length = file.metadata().map_err(Failure::Spool)?.len();
    let mut begins = [0; 2];
    let is_zip = FileReader::from(file.try_clone().map_err(Failure::Spool)?)
        .read_exact_at(&mut begins, 0)
        .is_ok_and(|()| &begins == b"PK");
    if !is_zip {
        let problem = "it does not begin as zip does; leave out `archive` if it is not packed";
        return Err(malformed(problem));
    }
    let mut buffer = vec![0; DIRECTORY_BYTES];
    let broken = |error: Error| broken(&error, length);
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
    let members = members(&archive, &mut buffer, wanted, length)?;
    check_ranges(&archive, &members, length)?;
    let mut end = PageEnd::default();
    let mut unpacked = 0;
    for member in &members {
        let read = read_member(&archive, member, shape, length, &mut unpacked, take);
        let of_member = read.map_err(|failure| within(failure, &member.name))?;
        end.records += of_member.records;
        end.bytes += of_member.bytes;
        end.hashes.extend(of_member.hashes);
        end.last = of_member.last.or(end.last);
    }
    Ok(end)
}

/// The members that are wanted, and a look at all others.
fn members(
    archive: &Archive,
    buffer: &mut [u8],
    wanted: Option<&str>,
    length: u64,
) -> Result<Vec<Member>, Failure> {
    let mut members = Vec::new();
    let mut names = HashSet::new();
    let (mut count, mut shown) = (0, Vec::new());
    let mut entries = archive.entries(buffer);
    while let Some(entry) = entries.next_entry().map_err(|error| broken(&error, length))? {
        count += 1;
        if count > MEMBERS_MAX {
            let bound = format!("{MEMBERS_MAX} members");
            return Err(Failure::TooLarge { what: "the archive", bound, hint: None });
        }
        let name = name(&entry)?;
        if entry.is_dir() {
            if entry.uncompressed_size_hint() > 0 {
                return Err(malformed(&format!("its folder `{name}` holds bytes")));
            }
            continue;
        }
        if !names.insert(name.clone()) {
            return Err(malformed(&format!("it has two members of the name `{name}`")));
        }
        if wanted.is_some_and(|wanted| !matches(wanted, &name)) {
            shown.push(name);
            shown.truncate(NAMES_SHOWN_MAX);
            continue;
        }
        let mut flags = [0; 2];
        let at = entry.central_directory_offset() + FLAGS_AT;
        archive.get_ref().read_exact_at(&mut flags, at).map_err(Failure::Spool)?;
        if u16::from_le_bytes(flags) & ENCRYPTED != 0 {
            return Err(malformed(&format!("its member `{name}` is encrypted")));
        }
        let method = entry.compression_method();
        if !matches!(method, CompressionMethod::Store | CompressionMethod::Deflate) {
            let number = method.as_id().as_u16();
            let problem = format!("its member `{name}` is packed by method {number}, not deflate");
            return Err(malformed(&problem));
        }
        members.push(Member { name, at: entry.wayfinder(), method });
    }
    if count != archive.entries_hint() {
        let said = archive.entries_hint();
        return Err(malformed(&format!("its directory has {count} members, and says {said}")));
    }
    if members.is_empty() {
        let there = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
        let wanted = wanted.unwrap_or("*");
        return Err(malformed(&format!("no member is `{wanted}`; there are: {there}")));
    }
    Ok(members)
}

/// A member's name, which must be one below the archive.
fn name(entry: &ZipFileHeaderRecord<'_>) -> Result<String, Failure> {
    let path = entry.file_path();
    let shown = String::from_utf8_lossy(path.as_ref());
    let is_outside = shown.starts_with('/')
        || shown.contains(['\\', '\0', ':'])
        || shown.split('/').any(|part| matches!(part, "." | ".."));
    if is_outside {
        let shown = shown.escape_debug();
        return Err(malformed(&format!("its member `{shown}` leads out of the archive")));
    }
    Ok(shown.into_owned())
}

/// No two members share bytes: what a bomb of many layers does.
fn check_ranges(archive: &Archive, members: &[Member], length: u64) -> Result<(), Failure> {
    let mut ranges = Vec::with_capacity(members.len());
    for member in members {
        let entry = archive.get_entry(member.at).map_err(|error| broken(&error, length))?;
        ranges.push(entry.compressed_data_range());
    }
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(malformed("two of its members share bytes"));
    }
    Ok(())
}

fn read_member(
    archive: &Archive,
    member: &Member,
    shape: &BodyShape,
    packed: u64,
    unpacked: &mut u64,
    take: &mut dyn FnMut(Records) -> Result<(), Failure>,
) -> Result<PageEnd, Failure> {
    let entry = archive.get_entry(member.at).map_err(|error| broken(&error, packed))?;
    let mut source: Box<dyn Read + '_> = match member.method {
        CompressionMethod::Store => Box::new(entry.verifying_reader(entry.reader())),
        _ => Box::new(entry.verifying_reader(DeflateDecoder::new(entry.reader()))),
    };
    let mut reader = BodyReader::new(shape, None)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = source.read(&mut piece).map_err(|error| spoiled(&error))?;
        if read == 0 {
            break;
        }
        *unpacked += read as u64;
        check(packed, *unpacked, shape.unpacked_bytes)?;
        reader.feed(&piece[..read])?;
        while let Some(batch) = reader.batch() {
            take(batch)?;
        }
    }
    let (end, rest) = reader.finish()?;
    rest.into_iter().try_for_each(take)?;
    Ok(end)
}

fn malformed(problem: &str) -> Failure {
    Failure::malformed("zip", problem.to_owned())
}

/// An archive whose directory cannot be read.
fn broken(error: &Error, length: u64) -> Failure {
    match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory | ErrorKind::Eof => {
            let problem = "the zip archive has no directory at its end".to_owned();
            Failure::Unfinished { problem, offset: length }
        }
        ErrorKind::IO(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Failure::Spool(io::Error::new(error.kind(), error.to_string()))
        }
        other => malformed(&format!("its directory cannot be read: {other}")),
    }
}

/// A member that does not unpack to what the directory says.
fn spoiled(error: &io::Error) -> Failure {
    malformed(&format!("it does not unpack to what the directory says: {error}"))
}

/// The failure with the member that it lies in.
fn within(failure: Failure, name: &str) -> Failure {
    let said = |problem: String| format!("{problem} (in the archive's member `{name}`)");
    match failure {
        Failure::Malformed { format, problem, excerpt } => {
            Failure::Malformed { format, problem: said(problem), excerpt }
        }
        Failure::NotJson { problem, excerpt } => {
            Failure::NotJson { problem: said(problem), excerpt }
        }
        Failure::Unfinished { problem, offset } => {
            Failure::Unfinished { problem: said(problem), offset }
        }
        other => other,
    }
}
