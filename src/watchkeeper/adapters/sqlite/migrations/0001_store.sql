-- What is kept, except documents: their tables follow KINDS and are made in schema.py.
-- Instants are microseconds since 1970 (UTC). `position` orders everything that was ever written.

CREATE TABLE counter (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('position', 0);

CREATE TABLE version (key TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
  run TEXT NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (run, number)  -- one writer a number
) STRICT, WITHOUT ROWID;

CREATE TABLE claim (
  position INTEGER PRIMARY KEY, key TEXT NOT NULL, run TEXT NOT NULL, units INTEGER NOT NULL,
  until_us INTEGER NOT NULL  -- 2^62: until the run ends
) STRICT;
CREATE INDEX claim_key ON claim (key, until_us, units);
CREATE INDEX claim_run ON claim (run) WHERE until_us = 4611686018427387904;
CREATE INDEX claim_until ON claim (until_us) WHERE until_us < 4611686018427387904;

CREATE TABLE delivery (
  position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL, taken INTEGER NOT NULL DEFAULT 0,
  received_us INTEGER NOT NULL, source TEXT NOT NULL, format TEXT NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL,
  headers TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX delivery_pending ON delivery (priority) WHERE taken = 0;

-- Entries have their place in the tree from the moment they are committed: one writer, no gaps. Those at and
-- beyond tree.size are pending. `sealed` (AES-256-GCM: nonce, then salt and content) goes when it is erased.
CREATE TABLE entry (
  place INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, body BLOB NOT NULL, day_key INTEGER NOT NULL,
  erased TEXT NOT NULL DEFAULT '', sealed BLOB
) STRICT;
CREATE INDEX entry_day_key ON entry (day_key);
CREATE TABLE entry_id (
  name TEXT NOT NULL, identity TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (name, identity, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE day_key (number INTEGER PRIMARY KEY, day TEXT NOT NULL, key BLOB NOT NULL) STRICT;
CREATE TABLE kept_hash (
  level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE tree (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, frontier BLOB NOT NULL) STRICT;
INSERT INTO tree VALUES (1, 0, x'');
