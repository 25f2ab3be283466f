//! The file of a listening Unix socket: made with its mode before anybody can connect, removed when it is left for good.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};

/// Device and number of a file: another socket of the same name has another.
pub type FileId = (u64, u64);

/// The file of a socket. Dropping it removes the file if it is this process's to remove, and still that socket's.
#[derive(Debug)]
pub struct SocketFile {
    path: Arc<Path>,
    id: FileId,
    owned: bool,
    /// Its mode once it is this process's.
    mode: Option<u32>,
}

impl SocketFile {
    /// Binds a socket that does not block, gives its file this mode, and listens. A socket that a dead process left there
    /// is removed first. `backlog`: connections that the kernel holds until somebody accepts them.
    ///
    /// # Errors
    /// Somebody listens there, something else than a socket stands there, or those of the system.
    pub fn bind(path: &Arc<Path>, mode: u32, backlog: i32) -> io::Result<(Self, OwnedFd)> {
        clear(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let mut file = Self { path: Arc::clone(path), id: id(path)?, owned: true, mode: None };
        // Before `listen` the kernel lets nobody connect, so nobody gets in by the mode that bind(2) gave the file.
        file.set_mode(mode)?;
        socket.listen(backlog)?;
        Ok((file, socket.into()))
    }

    /// That of a socket which another process has bound: it stays as it is until it is [taken over](Self::take_over), which
    /// gives it this mode. `known`: what that process says of it; without a word whatever stands there is it. `None`: the
    /// file is gone, or another has its name.
    pub fn inherited(path: &Arc<Path>, known: Option<FileId>, mode: u32) -> Option<Self> {
        let id = id(path).ok().filter(|id| known.is_none_or(|known| known == *id))?;
        Some(Self { path: Arc::clone(path), id, owned: false, mode: Some(mode) })
    }

    /// Tells it from others of its name.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Makes it this process's to remove, and lets in whom this process lets in: the one before may go on until here.
    ///
    /// # Errors
    /// As [`Self::set_mode`] has them.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.owned = true;
        self.mode.map_or(Ok(()), |mode| self.set_mode(mode))
    }

    /// Leaves it to another process.
    pub fn leave(mut self) {
        self.owned = false;
    }

    /// Who may connect from now on: the bits of chmod(2).
    ///
    /// # Errors
    /// Those of the system, or another file has its name.
    pub fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        self.mode = None;
        if id(&self.path)? != self.id {
            return Err(io::Error::new(ErrorKind::NotFound, "its file was replaced"));
        }
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.owned && id(&self.path).is_ok_and(|id| id == self.id) {
            // An error leaves a file behind that the next start removes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Removes a socket at which nobody listens any more.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "something else than a socket has this name"));
    }
    let taken = || io::Error::new(ErrorKind::AddrInUse, "another process listens there");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Whose queue is full is there, too; who waits for room would wait for ever.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(taken()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) if id(path).is_ok_and(|now| now == (found.dev(), found.ino())) => {
                fs::remove_file(path)
            }
            Some(libc::ECONNREFUSED | libc::EAGAIN) => Err(taken()),
            Some(libc::ENOENT) => Ok(()),
            // A socket of another kind (EPROTOTYPE), or one that this user may not ask (EACCES).
            _ => Err(io::Error::new(error.kind(), format!("a socket has this name, and says: {error}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;

    fn place(folder: &tempfile::TempDir) -> Arc<Path> {
        folder.path().join("s").into()
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_its_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        for mode in [0o600, 0o660, 0o777] {
            let (mut file, socket) = SocketFile::bind(&path, mode, 16).expect("bound");
            let found = fs::symlink_metadata(&path).expect("there");
            assert_eq!(found.permissions().mode() & 0o777, mode);
            UnixStream::connect(&path).expect("somebody listens");
            file.set_mode(0o640).expect("changed");
            assert_eq!(fs::symlink_metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
            drop((file, socket));
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "the standard library leaves it");
        drop(SocketFile::bind(&path, 0o600, 16).expect("bound over what was left"));

        let alive = UnixListener::bind(&path).expect("bound");
        assert_eq!(SocketFile::bind(&path, 0o600, 16).expect_err("taken").kind(), ErrorKind::AddrInUse);
        UnixStream::connect(&path).expect("still there");
        drop(alive);
        fs::remove_file(&path).expect("removed");

        let _other = UnixDatagram::bind(&path).expect("bound");
        assert!(SocketFile::bind(&path, 0o600, 16).is_err());
        assert!(path.exists());
        fs::remove_file(&path).expect("removed");

        fs::write(&path, "precious").expect("written");
        assert_eq!(SocketFile::bind(&path, 0o600, 16).expect_err("no socket").kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("there"), b"precious");
    }

    #[test]
    fn one_whose_queue_is_full_is_alive() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        let (_file, _socket) = SocketFile::bind(&path, 0o600, 0).expect("bound");
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("set");
            if socket.connect(&SockAddr::unix(&path).expect("an address")).is_err() {
                break;
            }
            waiting.push(socket);
        }
        assert_eq!(SocketFile::bind(&path, 0o600, 16).expect_err("taken").kind(), ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[test]
    fn a_file_is_removed_by_whom_it_belongs_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        let (file, _socket) = SocketFile::bind(&path, 0o600, 16).expect("bound");
        let mut heirs = SocketFile::inherited(&path, Some(file.id()), 0o600).expect("there");
        drop(SocketFile::inherited(&path, None, 0o600));
        file.leave();
        assert!(path.exists());
        heirs.take_over().expect("it is there");
        drop(heirs);
        assert!(!path.exists());

        let (file, _socket) = SocketFile::bind(&path, 0o600, 16).expect("bound");
        fs::remove_file(&path).expect("removed by somebody");
        let _other = UnixListener::bind(&path).expect("bound by somebody");
        drop(file);
        assert!(path.exists(), "it is another's");
    }

    #[test]
    fn whoever_takes_a_file_over_says_from_then_on_who_may_connect() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        let mode = || fs::symlink_metadata(&path).expect("there").permissions().mode() & 0o777;
        let (file, _socket) = SocketFile::bind(&path, 0o660, 16).expect("bound");
        drop(SocketFile::inherited(&path, Some(file.id()), 0o777).expect("there"));
        assert_eq!(mode(), 0o660, "one that fails leaves it as it was");
        let mut heirs = SocketFile::inherited(&path, Some(file.id()), 0o600).expect("there");
        heirs.take_over().expect("it is there");
        assert_eq!(mode(), 0o600);
        heirs.set_mode(0o640).expect("it is there");
        heirs.take_over().expect("it is there");
        assert_eq!(mode(), 0o640, "what was said last holds");
    }

    #[test]
    fn another_file_of_the_name_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = place(&folder);
        let (file, _socket) = SocketFile::bind(&path, 0o660, 16).expect("bound");
        let mut heirs = SocketFile::inherited(&path, Some(file.id()), 0o777).expect("there");
        // Moved, so that its number is not free for another.
        fs::rename(&path, folder.path().join("aside")).expect("moved");
        fs::write(&path, "precious").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
        assert!(SocketFile::inherited(&path, Some(file.id()), 0o777).is_none());
        assert_eq!(heirs.take_over().expect_err("another's").kind(), ErrorKind::NotFound);
        drop((heirs, file));
        assert_eq!(fs::read(&path).expect("there"), b"precious");
        assert_eq!(fs::symlink_metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
