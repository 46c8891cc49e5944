BEGIN TRANSACTION;
CREATE TABLE bursar_accounts (
	path VARCHAR(512) NOT NULL, 
	limits TEXT NOT NULL, 
	spent TEXT NOT NULL, 
	held TEXT NOT NULL, 
	PRIMARY KEY (path)
);
INSERT INTO "bursar_accounts" VALUES('team','{}','{"bytes_moved?":2,"flops?":2,"grams_co2e?":2,"joules?":2,"seconds?":2,"tokens_in":10,"tokens_out":10,"tool_calls?":2,"usd":36000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}');
INSERT INTO "bursar_accounts" VALUES('team/job','{"usd":1000000000000}','{"bytes_moved?":2,"flops?":2,"grams_co2e?":2,"joules?":2,"seconds?":2,"tokens_in":10,"tokens_out":10,"tool_calls?":2,"usd":36000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}');
CREATE TABLE bursar_entries (
	seq INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	account VARCHAR(512) NOT NULL, 
	hold INTEGER, 
	what TEXT NOT NULL, 
	bound TEXT, 
	predicted TEXT, 
	measured TEXT, 
	estimated TEXT NOT NULL, 
	price TEXT, 
	expires_at FLOAT, 
	environment TEXT NOT NULL, 
	time FLOAT NOT NULL, 
	prev_hash VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "bursar_entries" VALUES(1,'limit','team/job',NULL,'','{"usd":1000000000000}',NULL,NULL,'',NULL,NULL,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1000.0,'0000000000000000000000000000000000000000000000000000000000000000','0e79f29a5844bb966f492dcc1897830e913a231be803bafccbe9cabd6384561a');
INSERT INTO "bursar_entries" VALUES(2,'hold','team/job',NULL,'a','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',NULL,'','{"usd":1.0}',1060.0,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1000.0,'0e79f29a5844bb966f492dcc1897830e913a231be803bafccbe9cabd6384561a','1e5808751468a09ccfb11a52bbfc35d7f43dff664cbb45de82f62791a16aca41');
INSERT INTO "bursar_entries" VALUES(3,'hold','team/job',NULL,'a','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',NULL,'','{"usd":1.0}',1060.0,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1000.0,'1e5808751468a09ccfb11a52bbfc35d7f43dff664cbb45de82f62791a16aca41','465854fbcf9e058827a9225e8128c41e08796cf14e12f2e9c199dbcddab2a25c');
INSERT INTO "bursar_entries" VALUES(4,'hold','team/job',NULL,'a','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',NULL,'','{"usd":1.0}',1060.0,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1000.0,'465854fbcf9e058827a9225e8128c41e08796cf14e12f2e9c199dbcddab2a25c','7e9861a4f8352dfae6169b903c9d43d7f4266935c47fd72ca9ea44e77dd7ea0c');
INSERT INTO "bursar_entries" VALUES(5,'spend','team/job',2,'a','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','','{"usd":1.0}',NULL,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1000.0,'7e9861a4f8352dfae6169b903c9d43d7f4266935c47fd72ca9ea44e77dd7ea0c','ea104aaf71c86d5a0aec3ce6d8c094690a1e733133c3400fe60fb6ee456797d2');
INSERT INTO "bursar_entries" VALUES(6,'release','team/job',3,'a','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',NULL,'','{"usd":1.0}',NULL,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1000.0,'ea104aaf71c86d5a0aec3ce6d8c094690a1e733133c3400fe60fb6ee456797d2','4352d2b7dc42c8df5c4a445e4adb624bc92b435ca84e6b7cc0ed312a27522ab6');
INSERT INTO "bursar_entries" VALUES(7,'expired','team/job',4,'a','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}','tokens_in,tokens_out,usd','{"usd":1.0}',NULL,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1100.0,'4352d2b7dc42c8df5c4a445e4adb624bc92b435ca84e6b7cc0ed312a27522ab6','8377da8969bc125a427632e49caf170b785152c540e47b6d5942e1d0c5178537');
INSERT INTO "bursar_entries" VALUES(8,'hold','team/job',NULL,'open','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',NULL,NULL,'',NULL,1160.0,'bursar 0.1.0; Python 3.11.7; Linux x86_64',1100.0,'8377da8969bc125a427632e49caf170b785152c540e47b6d5942e1d0c5178537','280ecb716e9dc7a6629f7a7b7265c9b5ed679ed107f561041b778f7443aed6b0');
CREATE TABLE bursar_holds (
	id INTEGER NOT NULL, 
	account VARCHAR(512) NOT NULL, 
	bound TEXT NOT NULL, 
	expires_at FLOAT NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "bursar_holds" VALUES(4,'team/job','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',1060.0,'expired');
INSERT INTO "bursar_holds" VALUES(8,'team/job','{"bytes_moved?":1,"flops?":1,"grams_co2e?":1,"joules?":1,"seconds?":1,"tokens_in":5,"tokens_out":5,"tool_calls?":1,"usd":18000000000}',1160.0,'open');
CREATE TABLE bursar_meta (
	id INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	head VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "bursar_meta" VALUES(1,1,8,'280ecb716e9dc7a6629f7a7b7265c9b5ed679ed107f561041b778f7443aed6b0');
CREATE INDEX ix_bursar_entries_account ON bursar_entries (account);
CREATE INDEX ix_bursar_holds_expires_at ON bursar_holds (expires_at);
COMMIT;
