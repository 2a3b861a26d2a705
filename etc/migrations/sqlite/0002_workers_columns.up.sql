-- What else weir reads of a row, where it is there. Each column may be missing, and each value.
ALTER TABLE workers ADD COLUMN pool VARCHAR(64);                     -- the provider's pool
ALTER TABLE workers ADD COLUMN weight INTEGER;                       -- 0 to 1000; 1
ALTER TABLE workers ADD COLUMN state VARCHAR(32);                    -- active, drain or disabled
ALTER TABLE workers ADD COLUMN max_connections INTEGER;              -- no limit
ALTER TABLE workers ADD COLUMN metadata TEXT;                        -- for people
