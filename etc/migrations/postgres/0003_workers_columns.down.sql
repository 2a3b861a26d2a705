ALTER TABLE workers DROP COLUMN pool;
ALTER TABLE workers DROP COLUMN weight;
ALTER TABLE workers DROP COLUMN state;
ALTER TABLE workers DROP COLUMN max_connections;
ALTER TABLE workers DROP COLUMN metadata;
