//! Why a server cannot start, or stops.

use super::{Language, say, translate};
use crate::history::{HistoryError, NotHistory};
use crate::net::BindError;
use crate::net::quic::QuicError;
use crate::server::{Error, PrivateError};
use std::io::ErrorKind;
use std::path::Path;

impl Language {
    /// Why a server cannot start, or stops.
    #[must_use]
    pub fn server_error(self, error: &Error) -> String {
        match error {
            Error::Bind(error) => self.bind_error(error),
            Error::History(error) => self.history_error(error),
            Error::Quic(error) => self.quic_error(error),
            Error::Private(error) => self.private_error(error),
            #[cfg(feature = "redis")]
            Error::Engine(error) => self.engine_error(error),
            Error::EngineFile(path, cause) => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось прочитать URL хранилища из {path}: {cause}",
                    "无法从 {path} 读取存储引擎的 URL：{cause}",
                )
            }
            Error::NoEngine => translate!(
                self,
                error,
                "эта сборка chatagram не умеет работать с хранилищем: скачайте готовую программу \
                 или соберите её с `--features redis`",
                "这个 chatagram 编译时未启用存储引擎：请下载现成的程序，或用 `--features redis` \
                 重新编译",
            ),
            Error::NoWeb => translate!(
                self,
                error,
                "в этой сборке chatagram нет страницы комнаты: скачайте готовую программу или \
                 соберите её с `--features web`",
                "这个 chatagram 编译时未启用房间的网页：请下载现成的程序，或用 `--features web` \
                 重新编译",
            ),
            Error::Random(cause) => translate!(
                self,
                error,
                "операционная система не даёт случайных чисел: {cause}",
                "操作系统没有提供随机数：{cause}",
            ),
            Error::Waits(path, cause) => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось записать времена ожидания в {path}: {cause}",
                    "无法把等待时间写入 {path}：{cause}",
                )
            }
            Error::Poll(cause) => translate!(
                self,
                error,
                "не удалось ждать данных из сети: {cause}",
                "无法等待网络数据：{cause}",
            ),
            Error::Receive(address, cause) => translate!(
                self,
                error,
                "не удалось принять данные на {address}: {cause}",
                "无法在 {address} 接收数据：{cause}",
            ),
        }
    }

    /// An address cannot be bound.
    fn bind_error(self, error: &BindError) -> String {
        let (address, cause) = (error.address, &error.cause);
        let way_out = match error.kind() {
            ErrorKind::AddrInUse => translate!(
                self,
                "",
                "; этот порт занят другой программой: остановите её или выберите другой порт",
                "；另一个程序占用了这个端口：请停止它，或换一个端口",
            ),
            ErrorKind::AddrNotAvailable => {
                translate!(self, "", "; у этой машины нет такого адреса", "；本机没有这个地址")
            }
            ErrorKind::PermissionDenied => translate!(
                self,
                "",
                "; порты ниже 1024 доступны только администратору машины",
                "；使用 1024 以下的端口需要系统管理员权限",
            ),
            _ => String::new(),
        };
        translate!(
            self,
            error,
            "сервер не может слушать {address}: {cause}{way_out}",
            "无法监听 {address}：{cause}{way_out}",
        )
    }

    /// A history cannot be opened.
    fn history_error(self, error: &HistoryError) -> String {
        match error {
            HistoryError::NoDirectory { path, directory } => {
                let (path, directory) = (path.display(), directory.display());
                translate!(
                    self,
                    error,
                    "не удалось создать файл истории {path}: каталога {directory} нет; создайте \
                     его или задайте другой файл",
                    "无法创建聊天记录 {path}：没有目录 {directory}；请创建它，或指定另一个文件",
                )
            }
            HistoryError::NotAFile { path, .. } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось открыть файл истории {path}: это каталог, устройство или канал; \
                     задайте имя файла, которого может ещё не быть",
                    "无法打开聊天记录 {path}：这是目录、设备或管道；请指定一个文件，它可以还不存在",
                )
            }
            HistoryError::Denied { path, cause } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось открыть файл истории {path}: {cause}; серверу нужно право читать и \
                     записывать этот файл: измените права или задайте другой файл",
                    "无法打开聊天记录 {path}：{cause}；服务器需要读写此文件的权限：请修改权限，\
                     或指定另一个文件",
                )
            }
            HistoryError::Open { path, cause } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось открыть файл истории {path}: {cause}; задайте другой файл",
                    "无法打开聊天记录 {path}：{cause}；请指定另一个文件",
                )
            }
            HistoryError::InUse { path } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось открыть файл истории {path}: его использует другой сервер; \
                     остановите тот сервер или задайте другой файл",
                    "无法打开聊天记录 {path}：另一个服务器正在使用它；请停止那个服务器，\
                     或指定另一个文件",
                )
            }
            HistoryError::Lock { path, cause } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось заблокировать файл истории {path}: {cause}; задайте файл на \
                     локальном диске",
                    "无法锁定聊天记录 {path}：{cause}；请指定本地磁盘上的文件",
                )
            }
            HistoryError::NotHistory { path, why } => {
                let path = path.display();
                let why = match why {
                    NotHistory::NoLineEnd => translate!(
                        self,
                        why,
                        "последняя строка длиннее любой записи",
                        "最后一行比任何一条记录都长",
                    ),
                    NotHistory::NoRecords => {
                        translate!(self, why, "в нём нет записей", "其中没有记录")
                    }
                };
                translate!(
                    self,
                    error,
                    "{path} — не файл истории: {why}; файл не изменён; задайте другой или уберите \
                     этот",
                    "{path} 不是聊天记录文件：{why}；文件没有改动；请指定另一个文件，或移走这个",
                )
            }
            HistoryError::Read { path, cause } => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось прочитать файл истории {path}: {cause}; проверьте диск",
                    "无法读取聊天记录 {path}：{cause}；请检查磁盘",
                )
            }
            // These stop no server: the log has them.
            HistoryError::Append { .. } | HistoryError::TooLong { .. } => error.to_string(),
        }
    }

    /// There is no QUIC.
    #[must_use]
    pub fn quic_error(self, error: &QuicError) -> String {
        match error {
            QuicError::NotBuilt => translate!(
                self,
                error,
                "в этой сборке нет QUIC: cargo install --features quic",
                "这个程序编译时未启用 QUIC：cargo install --features quic",
            ),
            QuicError::Keys(cause) => {
                translate!(self, error, "у QUIC нет ключей: {cause}", "QUIC 没有密钥：{cause}")
            }
            QuicError::Address(_) => error.to_string(),
        }
    }

    /// A private room cannot be opened.
    fn private_error(self, error: &PrivateError) -> String {
        match error {
            PrivateError::File(path, cause) => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "не удалось использовать ключ закрытой комнаты в {path}: {cause}",
                    "无法使用 {path} 中的私密房间密钥：{cause}",
                )
            }
            PrivateError::Foreign(path) => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "{path} — не ключ закрытой комнаты: уберите этот файл, и сервер создаст новый",
                    "{path} 不是私密房间的密钥：请移走它，服务器会新建一个",
                )
            }
            PrivateError::Readable(path) => {
                let path = path.display();
                translate!(
                    self,
                    error,
                    "ключ закрытой комнаты могут прочитать другие пользователи: chmod 600 {path}",
                    "其他用户可以读取私密房间的密钥：chmod 600 {path}",
                )
            }
            PrivateError::Quic(error) => self.quic_error(error),
            PrivateError::Random(cause) => self.server_error(&Error::Random(*cause)),
        }
    }

    #[must_use]
    pub fn nothing_to_listen_on(self) -> String {
        say!(
            self,
            "no address to listen on",
            "нет адреса, который сервер мог бы слушать",
            "没有可监听的地址",
        )
    }

    /// Logging cannot start.
    #[must_use]
    pub fn cannot_log(self, path: &Path, cause: &std::io::Error) -> String {
        let path = path.display();
        say!(
            self,
            "cannot log to {path}: {cause}; name another file with --log-file",
            "не удалось писать журнал в {path}: {cause}; задайте другой файл через --log-file",
            "无法把日志写入 {path}：{cause}；请用 --log-file 指定另一个文件",
        )
    }
}
