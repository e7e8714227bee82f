"""The contracts: what goes over every topic and stands in every table. No IO."""
