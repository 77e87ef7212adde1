import pytest

from landslide.data import identity


def test_another_version_of_a_library_makes_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = identity.code_version()
    monkeypatch.setattr(identity, "version", lambda name: "999" if name == "torch" else "1")
    identity.code_version.cache_clear()
    other = identity.code_version()
    identity.code_version.cache_clear()
    assert now != other
    changes = identity.Identity(now, {}).changes(identity.Identity(other, {}))
    assert changes == [f"by {now}, which is not this {other}"]
