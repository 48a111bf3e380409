-- Who is to be told is looked for at each change of the journal: those alone are in the index. The condition is that of the query, word for word.
CREATE INDEX recipient_untold ON recipient (told_level) WHERE told_level IS NULL OR told_level < level;
