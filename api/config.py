"""The API's settings, read from ``MARKETPLACE_API_*`` and ``MARKETPLACE_MAIL_*``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.mail.transport import SmtpServer
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.networks import Network
from runtime.admin import LOOPBACK
from runtime.sections import API, API_PORT, COLLECTOR_URL, DATA_DIR, PaymentSettings
from runtime.settings import HIGHEST_PORT, EnvReader, Section, load

REQUIRED: Final = ("mongo", "redis")
"""The parts that no request can be answered without."""

NEEDS: Final = (*REQUIRED, "clickhouse")
"""The parts that it uses; without ClickHouse there are no numbers, and all else works."""

HOST: Final = API.text("MARKETPLACE_API_HOST", "The public address to listen on.", LOOPBACK)
ADMIN_HOST: Final = API.text(
    "MARKETPLACE_API_ADMIN_HOST",
    "The address of `/livez`, `/readyz` and `/metrics`; in a container, whose probes come from outside, `0.0.0.0`.",
    LOOPBACK,
)
ADMIN_PORT: Final = API.port(
    "MARKETPLACE_API_ADMIN_PORT", "Their port; 0 takes a free one.", None, default_text="the one after the public port"
)
PUBLIC_URL: Final = API.url(
    "MARKETPLACE_API_PUBLIC_URL",
    "Where people reach the dashboard, or the proxy in front of it: links in mails about accounts and to stores lead "
    "there, and it is the issuer of access tokens.",
    ("http", "https"),
    default_text="`http://127.0.0.1` and the port; `marketplace up` gives it the dashboard's or the proxy's",
)
SHOP_URL: Final = API.url(
    "MARKETPLACE_API_SHOP_URL",
    "Where people reach the storefront, for links that leave it, such as `https://market.example`.",
    ("http", "https"),
    default_text="what a request says of its host",
)
NAMES: Final = API.text(
    "MARKETPLACE_API_NAMES", "Host names under which it is reached, with commas between them; all where it is empty."
)
TRUSTED_PROXIES: Final = API.networks("MARKETPLACE_API_TRUSTED_PROXIES", "Peers whose `X-Forwarded-For` is believed.")
KEY_FILE: Final = API.path(
    "MARKETPLACE_API_KEY_FILE",
    "The file of keys that sign access tokens; all processes of the API need the same one. Made where it is missing.",
    default_text="`api/keys.json` in the data folder",
)

MAIL: Final = Section("Mail", "For the REST API, which sends mails.")
SMTP_HOST: Final = MAIL.text(
    "MARKETPLACE_MAIL_SMTP_HOST", "The server; without one, mails are written into `mails` in the data folder."
)
SMTP_PORT: Final = MAIL.port(
    "MARKETPLACE_MAIL_SMTP_PORT", "Its port; 465 is encrypted from the first byte.", 587, lowest=1
)
SMTP_USERNAME: Final = MAIL.text("MARKETPLACE_MAIL_SMTP_USERNAME", "The user, where the server asks for one.")
SMTP_PASSWORD: Final = MAIL.text(
    "MARKETPLACE_MAIL_SMTP_PASSWORD", "The user's password; it is never shown.", secret=True
)
SMTP_ENCRYPTED: Final = MAIL.switch(
    "MARKETPLACE_MAIL_SMTP_ENCRYPTED", "Whether a server without TLS gets no mail.", default=True
)
SENDER: Final = MAIL.text(
    "MARKETPLACE_MAIL_SENDER", "The address that mails come from.", "no-reply@marketplace.example"
)


def read_key_file(env: EnvReader) -> Path:
    """Where the signing keys are."""
    given = env.read(KEY_FILE)
    return Path(given) if given else Path(env.read(DATA_DIR)) / "api" / "keys.json"


def public_url(env: EnvReader) -> str:
    """Where people reach the dashboard."""
    return env.read(PUBLIC_URL) or f"http://{LOOPBACK}:{env.read(API_PORT)}"


def read_mail_folder(env: EnvReader) -> Path:
    """Where mails are written if there is no server."""
    return Path(env.read(DATA_DIR)) / "mails"


@dataclass(frozen=True)
class ApiConfig:
    """How one process of the API runs; the variables above describe each.

    Attributes:
        mail_folder: Where mails are written if there is no server.
        smtp: The server; None where mails are written.
        payments: Whose webhooks are taken.
    """

    host: str
    port: int
    admin_host: str
    admin_port: int | None
    public_url: str
    shop_url: str
    collector_url: str
    names: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    key_file: Path
    mail_folder: Path
    smtp: SmtpServer | None
    sender: str
    payments: PaymentSettings

    @property
    def shop_pages_url(self) -> str:
        """Where links in mails to buyers lead."""
        return f"{(self.shop_url or f'http://{LOOPBACK}:{self.port}').rstrip('/')}/shop"

    @property
    def effective_admin_port(self) -> int:
        """The admin port to bind; 0 takes a free one."""
        if self.admin_port is not None:
            return self.admin_port
        return self.port + 1 if 0 < self.port < HIGHEST_PORT else 0

    @staticmethod
    def read(env: EnvReader) -> ApiConfig:
        """Read the sections of the API and of mails."""
        port = env.read(API_PORT)
        smtp_host, sender = env.read(SMTP_HOST), env.read(SENDER)
        server = SmtpServer(
            smtp_host,
            env.read(SMTP_PORT),
            env.read(SMTP_USERNAME),
            env.read(SMTP_PASSWORD),
            env.read(SMTP_ENCRYPTED),
        )
        if (server.username or server.password) and not server.encrypted:
            env.reject(f"{SMTP_ENCRYPTED.name}=off: a password is sent over TLS only")
        try:
            checked_email(sender)
        except InvalidEmail as error:
            env.reject(f"{SENDER.name}: {error}")
        return ApiConfig(
            host=env.read(HOST),
            port=port,
            admin_host=env.read(ADMIN_HOST),
            admin_port=env.read(ADMIN_PORT),
            public_url=public_url(env),
            shop_url=env.read(SHOP_URL),
            collector_url=env.read(COLLECTOR_URL).rstrip("/"),
            names=tuple(name.strip() for name in env.read(NAMES).split(",") if name.strip()),
            trusted_proxies=env.read(TRUSTED_PROXIES),
            key_file=read_key_file(env),
            mail_folder=read_mail_folder(env),
            smtp=server if smtp_host else None,
            sender=sender,
            payments=PaymentSettings.read(env, asks=False),
        )

    @staticmethod
    def load(environment: Mapping[str, str]) -> ApiConfig:
        """Read an environment.

        Raises:
            InvalidSettings: Values cannot be used; the message names the variables.
        """
        return load(environment, ApiConfig.read)
