-- Which r and w hold: setting, table, server, cluster, in this order.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER settings_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE plain (key text, value text) SERVER settings_store
  OPTIONS (bucket 'settings');
CREATE FOREIGN TABLE greedy (key text, value text) SERVER settings_store
  OPTIONS (bucket 'settings', r '5');

-- a session whose first connection is made under a setting forgets it later
\c -
SET dynamo_fdw.r = 4;
SELECT * FROM plain WHERE key = 'k';
RESET dynamo_fdw.r;
SELECT * FROM plain WHERE key = 'k';
SELECT * FROM greedy WHERE key = 'k';
SET dynamo_fdw.r = 1;
SELECT * FROM greedy WHERE key = 'k';
RESET dynamo_fdw.r;
SET dynamo_fdw.w = 6;
INSERT INTO plain VALUES ('k', 'v');
RESET dynamo_fdw.w;

-- the server's holds at once, for tables that have none
ALTER SERVER settings_store OPTIONS (ADD r '7');
SELECT * FROM plain WHERE key = 'k';
SELECT * FROM greedy WHERE key = 'k';
ALTER SERVER settings_store OPTIONS (SET r '2', ADD w '2');
SELECT * FROM plain WHERE key = 'k';
ALTER FOREIGN TABLE greedy OPTIONS (SET r '3');
SELECT * FROM greedy WHERE key = 'k';

-- another server's changes are no matter
BEGIN;
DECLARE c CURSOR FOR SELECT key FROM plain;
MOVE 1 c;
CREATE SERVER settings_other FOREIGN DATA WRAPPER dynamo_fdw;
SELECT * FROM plain WHERE key = 'k';
MOVE 1 c;
ROLLBACK;

DROP SERVER settings_store CASCADE;
