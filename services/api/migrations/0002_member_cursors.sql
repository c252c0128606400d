-- How far each member is, beside `read_seq`: what their clients received, and what they put on the screen.
alter table group_members add column received_seq bigint not null default 0;
--;;
alter table group_members add column applied_seq bigint not null default 0;
