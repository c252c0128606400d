-- One member of one group is looked up by either index alone. By `user_id` only, PostgreSQL took that index, where the average user is in few
-- groups, and read all groups of a user who is in a thousand: for each row of a list, each message and each cursor.
create index group_members_of_user on group_members (user_id, group_id);
--;;
drop index group_members_by_user;
