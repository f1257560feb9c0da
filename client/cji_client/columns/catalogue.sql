-- Describes every table with encrypted columns to `cji columns describe`. It reads the catalogue and no record.
-- Needs VIEW ANY COLUMN ENCRYPTION KEY DEFINITION and VIEW ANY COLUMN MASTER KEY DEFINITION, and VIEW DEFINITION of the tables.
-- sqlcmd -S SERVER -d DATABASE -G -i catalogue.sql -y 0 -o catalogue.json
-- SQL Server 2016 and 2017: take out the line with allow_enclave_computations.
SET NOCOUNT ON;
DECLARE @catalogue nvarchar(max) = (
SELECT DB_NAME() AS [database],
  (SELECT s.name AS [schema], t.name AS [table], c.name AS [column], y.name AS [type],
      c.max_length, c.precision, c.scale, c.collation_name,
      CAST(COLLATIONPROPERTY(c.collation_name, 'CodePage') AS int) AS code_page,
      c.encryption_type, c.encryption_algorithm_name, k.name AS column_encryption_key,
      c.column_encryption_key_database_name
    FROM sys.columns AS c
    JOIN sys.tables AS t ON t.object_id = c.object_id
    JOIN sys.schemas AS s ON s.schema_id = t.schema_id
    LEFT JOIN sys.types AS y ON y.user_type_id = c.system_type_id
    LEFT JOIN sys.column_encryption_keys AS k ON k.column_encryption_key_id = c.column_encryption_key_id
    WHERE EXISTS (SELECT 1 FROM sys.columns AS e WHERE e.object_id = c.object_id AND e.encryption_type IS NOT NULL)
    ORDER BY s.name, t.name, c.column_id
    FOR JSON PATH) AS [columns],
  (SELECT k.name AS column_encryption_key, m.name AS column_master_key, v.encryption_algorithm_name,
      CONVERT(varchar(max), v.encrypted_value, 1) AS encrypted_value
    FROM sys.column_encryption_key_values AS v
    JOIN sys.column_encryption_keys AS k ON k.column_encryption_key_id = v.column_encryption_key_id
    JOIN sys.column_master_keys AS m ON m.column_master_key_id = v.column_master_key_id
    ORDER BY k.name, m.create_date
    FOR JSON PATH) AS column_encryption_key_values,
  (SELECT m.name, m.key_store_provider_name, m.key_path
      , m.allow_enclave_computations
    FROM sys.column_master_keys AS m
    ORDER BY m.name
    FOR JSON PATH) AS column_master_keys
FOR JSON PATH, WITHOUT_ARRAY_WRAPPER);
SELECT @catalogue;
