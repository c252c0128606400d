-- Fields of the application's own. Each of the next migrations adds empty columns to one table, which writes to no row and holds up others for the
-- moment of its commit: in one transaction they could wait for each other with a process of the version before.
alter table groups add column custom jsonb;
