-- What was expected of each meter on each of the building's days, what came, and why the rest did not, by the
-- gateway's word. A row is replaced by one that was added up later.
CREATE TABLE account (
    gateway      integer  NOT NULL,
    meter        uuid     NOT NULL,
    starts_ms    bigint   NOT NULL,
    ends_ms      bigint   NOT NULL,
    epoch_no     integer  NOT NULL,
    head         bigint   NOT NULL,  -- the highest number that the gateway had given by then
    expected     bigint   NOT NULL,
    received     bigint   NOT NULL,
    late         bigint   NOT NULL,
    from_memory  bigint   NOT NULL,
    corrected    bigint   NOT NULL,
    unplanned    bigint   NOT NULL,
    missing      text     NOT NULL,  -- `silent 4 power_off 2`
    PRIMARY KEY (gateway, meter, starts_ms)
);
