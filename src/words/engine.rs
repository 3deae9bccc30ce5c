//! Why the engine of a room on several servers cannot be used.

use super::{Language, translate};
use crate::server::{EngineError, UrlError, Version};

impl Language {
    /// Why an engine cannot be used.
    pub(super) fn engine_error(self, error: &EngineError) -> String {
        match error {
            EngineError::Url(error) => self.engine_url_error(error),
            EngineError::Unreachable { place, why } => translate!(
                self,
                error,
                "нет связи с хранилищем {place}: {why}",
                "无法连接存储引擎 {place}：{why}",
            ),
            EngineError::Login { place, why } => translate!(
                self,
                error,
                "хранилище {place} не впускает: проверьте имя и пароль в его URL ({why})",
                "存储引擎 {place} 拒绝登录：请检查 URL 中的用户名和密码（{why}）",
            ),
            EngineError::Denied { place, why } => translate!(
                self,
                error,
                "хранилище {place} не разрешает своему пользователю то, что нужно серверу: {why}",
                "存储引擎 {place} 没有给用户服务器所需的权限：{why}",
            ),
            EngineError::TooOld { place, found } => {
                let oldest = Version::OLDEST;
                translate!(
                    self,
                    error,
                    "в хранилище {place} работает Redis {found}: нужен Redis {oldest} или новее, \
                     либо Valkey",
                    "存储引擎 {place} 是 Redis {found}：需要 Redis {oldest} 或更新版本，或 Valkey",
                )
            }
            EngineError::Replica { place } => translate!(
                self,
                error,
                "хранилище {place} — реплика только для чтения: укажите её master или Sentinel, \
                 которые его знают (redis+sentinel://HOST:PORT/ROOM?master=NAME)",
                "存储引擎 {place} 是只读副本：请指定它的主节点，或知道主节点的 Sentinel\
                 （redis+sentinel://HOST:PORT/ROOM?master=NAME）",
            ),
            EngineError::NoMaster { master, why } => translate!(
                self,
                error,
                "ни один Sentinel не знает master с именем «{master}»: {why}",
                "没有 Sentinel 知道名为“{master}”的主节点：{why}",
            ),
            EngineError::Occupied { place, key, found, wanted } => translate!(
                self,
                error,
                "в хранилище {place} под ключом {key} лежит {found}, а не {wanted}: выберите \
                 другую комнату или удалите этот ключ",
                "存储引擎 {place} 的键 {key} 是 {found}，不是 {wanted}：请换一个房间，或删除这个键",
            ),
            EngineError::NotDurable { place, always } => {
                let also = match always {
                    true => translate!(
                        self,
                        "",
                        " и `appendfsync always` или возьмите Redis 7.2 или новее",
                        " 和 `appendfsync always`，或使用 Redis 7.2 或更新版本",
                    ),
                    false => String::new(),
                };
                translate!(
                    self,
                    error,
                    "--engine-durable требует, чтобы хранилище записывало каждую строку на диск, \
                     а {place} этого не делает: задайте в его настройках `appendonly yes`{also}",
                    "--engine-durable 要求存储引擎把每条消息写入磁盘，而 {place} 没有这样做：\
                     请在其配置中设置 `appendonly yes`{also}",
                )
            }
            EngineError::Broken { place, why } => translate!(
                self,
                error,
                "хранилище {place} не работает: {why}",
                "存储引擎 {place} 工作不正常：{why}",
            ),
            EngineError::Thread(why) => translate!(
                self,
                error,
                "не удалось запустить поток для хранилища: {why}",
                "无法为存储引擎启动线程：{why}",
            ),
        }
    }

    fn engine_url_error(self, error: &UrlError) -> String {
        match error {
            UrlError::Scheme => translate!(
                self,
                error,
                "URL хранилища начинается с redis://, rediss:// (TLS), redis+unix:// (сокет) или \
                 redis+sentinel://",
                "存储引擎的 URL 以 redis://、rediss://（TLS）、redis+unix://（套接字）或 \
                 redis+sentinel:// 开头",
            ),
            UrlError::Host => translate!(
                self,
                error,
                "в URL хранилища нет верного адреса: пишите redis://HOST:PORT/ROOM",
                "存储引擎的 URL 没有有效的主机：请写成 redis://HOST:PORT/ROOM",
            ),
            UrlError::Room => translate!(
                self,
                error,
                "в конце URL хранилища нужно имя комнаты, от 1 до 32 букв, цифр, «-», «_» или \
                 «.»: redis://HOST:PORT/ROOM",
                "存储引擎的 URL 末尾须是房间名，1 到 32 个字母、数字、“-”、“_”或“.”：\
                 redis://HOST:PORT/ROOM",
            ),
            UrlError::SeveralHosts => translate!(
                self,
                error,
                "в URL хранилища несколько адресов: так можно только с redis+sentinel://",
                "存储引擎的 URL 有多个主机：只有 redis+sentinel:// 可以列出多个",
            ),
            UrlError::Master => translate!(
                self,
                error,
                "в конце URL для Sentinel нужно имя master: \
                 redis+sentinel://HOST:PORT/ROOM?master=NAME",
                "Sentinel 的 URL 末尾须是主节点名：redis+sentinel://HOST:PORT/ROOM?master=NAME",
            ),
            UrlError::Parameter => translate!(
                self,
                error,
                "в URL хранилища неверный параметр: бывают только db=NUMBER и master=NAME",
                "存储引擎的 URL 有无效的参数：只能是 db=NUMBER 和 master=NAME",
            ),
            UrlError::Escape => translate!(
                self,
                error,
                "в URL хранилища за «%» не следуют две шестнадцатеричные цифры UTF-8",
                "存储引擎的 URL 中，“%”后面不是 UTF-8 的两位十六进制数字",
            ),
        }
    }
}
