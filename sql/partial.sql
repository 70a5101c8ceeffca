-- No atomicity over keys: when a commit is done in part, the error says which.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER partial_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE part (key text, value text, vclock vclock) SERVER partial_store OPTIONS (bucket 'partial');

-- a key that takes no more siblings
INSERT INTO part (key, value) SELECT 'crowded', 'value ' || i FROM generate_series(1, 100) i;
SELECT count(*) FROM part WHERE key = 'crowded';

-- alone, its refusal is a definite no
INSERT INTO part (key, value) VALUES ('crowded', 'one more');
\echo :SQLSTATE

-- beside others, whose writes are done: 08007, with the names of both
BEGIN;
INSERT INTO part (key, value) VALUES ('a', '1'), ('crowded', 'one more'), ('b', '2');
COMMIT;
\echo :SQLSTATE
SELECT key, value FROM part WHERE key IN ('a', 'b') ORDER BY key;
SELECT count(*) FROM part WHERE key = 'crowded';

-- as many rows of one key as it may have are one write
INSERT INTO part (key, value) SELECT 'full', 'value ' || i FROM generate_series(1, 100) i;
SELECT count(*) FROM part WHERE key = 'full';

-- more are none: nothing of the key is stored, and nothing beside it
BEGIN;
INSERT INTO part (key, value) SELECT 'too full', 'value ' || i FROM generate_series(1, 101) i;
INSERT INTO part (key, value) VALUES ('beside', '1');
COMMIT;
\echo :SQLSTATE
SELECT count(*) FROM part WHERE key IN ('too full', 'beside');

-- nor are more bytes than a key may have together
BEGIN;
INSERT INTO part (key, value) SELECT 'too large', repeat('x', 1000000) || i FROM generate_series(1, 80) i;
INSERT INTO part (key, value) VALUES ('beside', '1');
COMMIT;
\echo :SQLSTATE
SELECT count(*) FROM part WHERE key IN ('too large', 'beside');

-- what is updated to one value is one row
UPDATE part SET value = 'same' WHERE key = 'full';
SELECT value FROM part WHERE key = 'full';

-- equal values are two writes: the second may fail when the first is done
INSERT INTO part (key, value) SELECT 'nearly', 'value ' || i FROM generate_series(1, 99) i;
INSERT INTO part (key, value) VALUES ('nearly', 'twice'), ('nearly', 'twice');
\echo :SQLSTATE
SELECT count(*) FROM part WHERE key = 'nearly';

-- several keys of several tables, all of them refused: nothing is stored
CREATE FOREIGN TABLE other (key text, value text) SERVER partial_store OPTIONS (bucket 'partial_other');
INSERT INTO other SELECT 'crowded', 'value ' || i FROM generate_series(1, 100) i;
BEGIN;
INSERT INTO part (key, value) VALUES ('crowded', 'one more');
INSERT INTO other VALUES ('crowded', 'one more');
COMMIT;
\echo :SQLSTATE

-- a part of them: by table and key
BEGIN;
INSERT INTO part (key, value) VALUES ('c', '1'), ('d', '1');
INSERT INTO other VALUES ('crowded', 'one more'), ('e', '1');
COMMIT;
\echo :SQLSTATE

DROP SERVER partial_store CASCADE;
