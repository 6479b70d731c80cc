\i sql/include/fresh.sql
