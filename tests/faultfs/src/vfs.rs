//! SQLite's table of file functions, with ours in front of the machine's.
//!
//! A file is opened by the machine's own function, and then its table of methods is exchanged for a copy
//! in which the methods that write are ours. They look at the disk's orders and call the machine's.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use rusqlite::ffi;

use crate::{Fault, Op, disk};

/// Puts the disk between SQLite and the machine, for all of this process and for good.
///
/// # Panics
///
/// If SQLite has no file system of the machine, which every build of it has.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite is initialised first; the table found is static, is copied whole, and the copy
        // lives for ever, as does its name.
        unsafe {
            ffi::sqlite3_initialize();
            let machine = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!machine.is_null(), "SQLite knows the files of this machine");
            let mut ours = *machine;
            *lock(&MACHINE) = Some(Machine(machine));
            ours.zName = c"faultfs".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
        }
    });
}

/// The machine's own table.
struct Machine(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite's own tables are used from every thread, and never change.
unsafe impl Send for Machine {}

static MACHINE: Mutex<Option<Machine>> = Mutex::new(None);

/// An open file, by its address.
struct Known {
    path: PathBuf,
    methods: &'static ffi::sqlite3_io_methods,
}

static FILES: Mutex<Option<HashMap<usize, Known>>> = Mutex::new(None);

/// Tables that were exchanged already: there are as many as SQLite has ways of locking.
static TABLES: Mutex<Option<HashMap<usize, &'static ffi::sqlite3_io_methods>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn machine() -> *mut ffi::sqlite3_vfs {
    lock(&MACHINE).as_ref().map_or(std::ptr::null_mut(), |it| it.0)
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    if disk().look() {
        // SAFETY: SQLite hands over room for a file, and closes none without methods.
        unsafe { (*file).pMethods = std::ptr::null() };
        return ffi::SQLITE_CANTOPEN;
    }
    let machine = machine();
    // SAFETY: all arguments are SQLite's, meant for the machine's function, whose table is static. A file
    // with methods was opened, and its methods are a static table of SQLite's.
    unsafe {
        let Some(open) = (*machine).xOpen else { return ffi::SQLITE_CANTOPEN };
        let result = open(machine, name, file, flags, out_flags);
        let methods = (*file).pMethods;
        if result != ffi::SQLITE_OK || methods.is_null() || name.is_null() {
            return result;
        }
        let path = PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned());
        let known = Known { path, methods: &*methods };
        lock(&FILES).get_or_insert_with(HashMap::new).insert(file as usize, known);
        let mut tables = lock(&TABLES);
        let tables = tables.get_or_insert_with(HashMap::new);
        let ours = tables.entry(methods as usize).or_insert_with(|| {
            let mut ours = *methods;
            ours.xClose = Some(close);
            ours.xRead = Some(read);
            ours.xWrite = Some(write);
            ours.xTruncate = Some(truncate);
            ours.xSync = Some(sync);
            ours.xFileSize = Some(file_size);
            Box::leak(Box::new(ours))
        });
        (*file).pMethods = *ours;
        result
    }
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    if disk().look() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    let machine = machine();
    // SAFETY: as in `open`; the name is a string of SQLite's.
    unsafe {
        let Some(delete) = (*machine).xDelete else { return ffi::SQLITE_IOERR_DELETE };
        let result = delete(machine, name, sync_dir);
        if result == ffi::SQLITE_OK {
            let file = PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned());
            disk().note(Op::Delete { file });
        }
        result
    }
}

/// The path and the machine's methods of an open file.
fn known(file: *mut ffi::sqlite3_file) -> Option<(PathBuf, &'static ffi::sqlite3_io_methods)> {
    let files = lock(&FILES);
    let known = files.as_ref()?.get(&(file as usize))?;
    Some((known.path.clone(), known.methods))
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let known = lock(&FILES).as_mut().and_then(|files| files.remove(&(file as usize)));
    let Some(Known { methods, .. }) = known else { return ffi::SQLITE_IOERR_CLOSE };
    // SAFETY: the file is open, and these are the methods it was opened with.
    unsafe {
        (*file).pMethods = methods;
        methods.xClose.map_or(ffi::SQLITE_IOERR_CLOSE, |close| close(file))
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    bytes: *mut c_void,
    count: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let Some((_, methods)) = known(file) else { return ffi::SQLITE_IOERR_READ };
    if disk().look() {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: SQLite hands over room for that many bytes of an open file; the methods are its own.
    unsafe { methods.xRead.map_or(ffi::SQLITE_IOERR_READ, |it| it(file, bytes, count, at)) }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let Some((path, methods)) = known(file) else { return ffi::SQLITE_IOERR_WRITE };
    match disk().call() {
        Some(Fault::Full) => return ffi::SQLITE_FULL,
        Some(Fault::Io | Fault::Gone) => return ffi::SQLITE_IOERR_WRITE,
        Some(Fault::ReadOnly) => return ffi::SQLITE_READONLY,
        None => {}
    }
    // SAFETY: SQLite hands over that many bytes of an open file; the methods are its own.
    unsafe {
        let result =
            methods.xWrite.map_or(ffi::SQLITE_IOERR_WRITE, |it| it(file, bytes, count, at));
        if result == ffi::SQLITE_OK {
            let count = usize::try_from(count).unwrap_or_default();
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), count).to_vec();
            disk().note(Op::Write { file: path, at: at.unsigned_abs(), bytes });
        }
        result
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    let Some((path, methods)) = known(file) else { return ffi::SQLITE_IOERR_TRUNCATE };
    if disk().call().is_some() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: the file is open, and the methods are its own.
    let result =
        unsafe { methods.xTruncate.map_or(ffi::SQLITE_IOERR_TRUNCATE, |it| it(file, size)) };
    if result == ffi::SQLITE_OK {
        disk().note(Op::Truncate { file: path, size: size.unsigned_abs() });
    }
    result
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let Some((path, methods)) = known(file) else { return ffi::SQLITE_IOERR_FSYNC };
    let lazy = {
        let mut disk = disk();
        if disk.call().is_some() {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        disk.is_lazy()
    };
    let result = if lazy {
        ffi::SQLITE_OK
    } else {
        // SAFETY: the file is open, and the methods are its own.
        unsafe { methods.xSync.map_or(ffi::SQLITE_IOERR_FSYNC, |it| it(file, flags)) }
    };
    if result == ffi::SQLITE_OK {
        disk().note(Op::Sync { file: path });
    }
    result
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    size: *mut ffi::sqlite3_int64,
) -> c_int {
    let Some((_, methods)) = known(file) else { return ffi::SQLITE_IOERR_FSTAT };
    if disk().look() {
        return ffi::SQLITE_IOERR_FSTAT;
    }
    // SAFETY: the file is open, and the methods are its own; SQLite hands over room for the size.
    unsafe { methods.xFileSize.map_or(ffi::SQLITE_IOERR_FSTAT, |it| it(file, size)) }
}
