"""Secrets at rest."""

import pytest

from flocknode.chain.keystore import create_key, load_key, write_secret
from flocknode.errors import ConfigurationError


def test_a_key_survives_its_file(tmp_path):
    created = create_key(tmp_path / "signing.key")
    assert load_key(tmp_path / "signing.key").address == created.address


def test_a_secret_is_readable_by_its_owner_alone(tmp_path):
    write_secret(tmp_path / "secret", b"x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_an_existing_secret_is_never_overwritten(tmp_path):
    create_key(tmp_path / "signing.key")
    before = (tmp_path / "signing.key").read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        create_key(tmp_path / "signing.key")
    assert (tmp_path / "signing.key").read_bytes() == before


def test_a_secret_that_others_may_read_is_refused_with_the_remedy(tmp_path):
    create_key(tmp_path / "signing.key")
    (tmp_path / "signing.key").chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        load_key(tmp_path / "signing.key")
    assert caught.value.remedy.startswith("chmod 600")


@pytest.mark.parametrize("content", [b"", b"zz", b"00" * 32, b"ab" * 31, b"\xff\xfe"])
def test_a_broken_key_file_is_an_error_that_does_not_quote_it(tmp_path, content):
    write_secret(tmp_path / "signing.key", content)
    with pytest.raises(ConfigurationError) as caught:
        load_key(tmp_path / "signing.key")
    assert str(caught.value) == f"{tmp_path / 'signing.key'} holds no signing key"
    assert caught.value.__cause__ is None
