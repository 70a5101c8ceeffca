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

DROP SERVER partial_store CASCADE;
